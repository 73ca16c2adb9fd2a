"""The word lists the simulated market is made from; all written for this project.

Ids of categories follow from positions in these lists, so only append to a list, never reorder it. Alternatives are
separated by '|': first the word that categories are named with, then others that sellers use for it.
"""

# Lists of words read best as running text; ruff counts a Hangul syllable as two columns.
# ruff: noqa: E501, SIM905

from dataclasses import dataclass

# One department a paragraph: its name, its kind (which modifiers and units fit), other words malls use for it;
# then four groups of four things each.
_DEPARTMENTS = """
부엌살림 thing 키친 주방코너
  조리기구: 냄비|쿠킹팟|pot 프라이팬|후라이팬|frypan 찜솥|찜통|steamer 궁중웍|웍팬|wok
  칼과도마: 식칼|부엌칼|knife 도마|커팅보드|board 주방가위|다용도가위|scissors 채칼|슬라이서|slicer
  상차림: 밥공기|밥그릇|bowl 접시|플레이트|plate 수저|숟가락젓가락|cutlery 머그|머그컵|mug
  보관그릇: 밀폐통|밀폐용기|container 물병|보틀|bottle 도시락통|런치박스|lunchbox 김치통|김치보관함|kimchibox
침실거실 thing 홈인테리어 방꾸미기
  잠자리: 베개|필로우|pillow 이불|컴포터|duvet 토퍼|매트리스패드|topper 담요|블랭킷|blanket
  앉을자리: 소파|쇼파|sofa 스툴|보조의자|stool 좌식의자|앉은뱅이의자|floorchair 안락의자|리클라이너|recliner
  창과바닥: 커튼|암막천|curtain 블라인드|롤스크린|blind 러그|카페트|rug 발매트|현관매트|doormat
  집안조명: 무드등|수면등|moodlamp 천장등|직부등|ceilinglight 전구|램프알|bulb 센서등|감지등|sensorlight
옷가게 wear 의류관 패션옷
  윗옷: 티셔츠|반팔티|tee 셔츠|남방|shirt 니트|스웨터|knit 후드티|후디|hoodie
  아래옷: 청바지|데님팬츠|jeans 슬랙스|정장바지|slacks 치마|스커트|skirt 레깅스|쫄바지|leggings
  겉옷: 패딩|점퍼|padding 코트|롱코트|coat 가디건|카디건|cardigan 바람막이|윈드자켓|windbreaker
  속옷과잠옷: 브라|브라렛|bra 팬티|드로즈|panty 잠옷|파자마|pajama 내복|히트이너|thermals
신발가방 wear 슈즈백 잡화관
  신을거리: 운동화|스니커즈|sneakers 구두|로퍼|loafer 부츠|워커|boots 슬리퍼|쪼리|slipper
  멜거리: 백팩|책가방|backpack 숄더가방|숄더백|shoulderbag 손가방|토트백|tote 여행가방|캐리어|carrier
  지닐거리: 지갑|반지갑|wallet 카드집|카드홀더|cardholder 허리띠|벨트|belt 파우치|소품주머니|pouch
  두를거리: 모자|볼캡|cap 목도리|머플러|muffler 장갑|글러브|gloves 양말|삭스|socks
얼굴과몸 care 뷰티관 미용
  바탕손질: 토너|스킨|toner 에센스|앰플|serum 크림|수분크림|cream 마스크팩|시트팩|maskpack
  빛깔내기: 립스틱|립틴트|lipstick 쿠션팩트|파운데이션|cushion 아이섀도|섀도팔레트|eyeshadow 마스카라|속눈썹컬러|mascara
  씻을거리: 폼클렌저|세안제|cleanser 샴푸|헤어워시|shampoo 바디워시|샤워젤|bodywash 비누|솝바|soap
  몸돌보기: 선크림|썬블록|sunscreen 핸드크림|손크림|handcream 향수|퍼퓸|perfume 염색약|헤어컬러|hairdye
밥상 food 식재료 장보기
  곡식과면: 쌀|백미|rice 라면|봉지면|ramen 국수|소면|noodle 잡곡|혼합곡|grain
  찬과장: 김치|포기김치|kimchi 젓갈|명란|jeotgal 된장|재래장|doenjang 고추장|태양초장|gochujang
  고기생선: 소고기|한우|beef 돼지고기|한돈|pork 닭고기|닭살|chicken 생선|손질어|fish
  과일채소: 사과|꿀사과|apple 감귤|귤|tangerine 감자|햇감자|potato 양파|햇양파|onion
간식창고 food 군것질 스낵음료
  바삭달콤: 쿠키|비스킷|cookie 초콜릿|초코바|chocolate 사탕|캔디|candy 감자칩|칩스낵|chips
  마실것: 커피|원두|coffee 녹차|잎차|greentea 주스|과즙|juice 탄산수|스파클링|sparkling
  떡과빵: 식빵|모닝빵|bread 케이크|조각케익|cake 찰떡|떡|ricecake 찐빵|호빵|steamedbun
  챙겨먹기: 비타민|멀티비타민|vitamin 홍삼|홍삼정|ginseng 유산균|프로바이오|probiotics 단백질가루|프로틴|protein
아기방 life 베이비 육아관
  먹이기: 젖병|수유병|babybottle 이유식|아기죽|babyfood 분유|조제유|formula 턱받이|빕|bib
  입히기: 배냇옷|우주복|bodysuit 아기내의|베이비실내복|babywear 손싸개|발싸개|mitten 아기모자|베이비햇|babyhat
  재우고태우기: 유모차|휴대유모차|stroller 아기띠|힙시트|babycarrier 아기침대|범퍼침대|crib 카시트|바구니시트|carseat
  놀고씻기: 딸랑이|치발기|rattle 블록|쌓기놀이|blocks 기저귀|팬티기저귀|diaper 아기물티슈|베이비와이프|wipes
반려친구 life 펫샵 동물가족
  사료와간식: 강아지사료|도그푸드|dogfood 고양이사료|캣푸드|catfood 개껌|덴탈껌|dogchew 츄르|짜먹는간식|treat
  쉴곳: 강아지집|개집|kennel 고양이집|숨숨집|cathouse 캣타워|캣폴|cattower 이동장|켄넬|petcarrier
  나들이: 목줄|리드줄|leash 가슴줄|하네스|harness 강아지옷|펫웨어|petwear 인식표|이름표|pettag
  돌봄: 배변패드|애견패드|petpad 고양이모래|두부모래|litter 털빗|슬리커|petbrush 어항|수조|aquarium
운동장 life 스포츠관 땀내기
  실내운동: 아령|덤벨|dumbbell 요가매트|운동매트|yogamat 훌라후프|후프|hulahoop 철봉|풀업바|pullupbar
  공놀이: 축구공|사커볼|soccerball 농구공|바스켓볼|basketball 배드민턴채|라켓|racket 탁구채|탁구라켓|paddle
  바퀴운동: 자전거|바이크|bicycle 킥보드|스쿠터|kickboard 인라인|롤러|inline 안전모|헬멧|helmet
  물과눈: 수영복|래시가드|swimsuit 물안경|수경|goggles 구명조끼|튜브조끼|lifevest 스키장갑|보드장갑|skigloves
들살이 life 캠핑관 야외
  잠터: 텐트|원터치막사|tent 타프|그늘막|tarp 침낭|슬리핑백|sleepingbag 에어매트|자충매트|airmat
  불과밥: 버너|가스스토브|burner 화로대|불멍대|firepit 코펠|캠핑냄비|cookset 바베큐그릴|숯불판|grill
  살림살이: 캠핑의자|릴렉스체어|campchair 캠핑테이블|롤테이블|camptable 랜턴|캠핑등|lantern 아이스박스|쿨러|cooler
  산과물: 등산화|트레킹화|hikingshoes 등산스틱|스틱폴|trekkingpole 낚싯대|로드|fishingrod 배낭|등산백|rucksack
집안가전 device 가전관 전자살림
  바람과온도: 선풍기|서큘레이터|fan 에어컨|냉방기|aircon 히터|온풍기|heater 전기장판|온열매트|heatmat
  부엌가전: 전기밥솥|압력밥솥|ricecooker 에어프라이어|열풍조리기|airfryer 믹서기|블렌더|blender 전자레인지|렌지|microwave
  청소세탁: 청소기|무선청소|vacuum 세탁기|통돌이|washer 건조기|의류건조|dryer 다리미|스팀다리미|iron
  공기물: 공기청정기|에어클린|purifier 가습기|초음파가습|humidifier 제습기|습기제거기|dehumidifier 정수기|워터필터|waterfilter
컴퓨터방 device 피시관 컴퓨팅
  본체: 노트북|랩탑|laptop 데스크탑|조립피시|desktop 태블릿|패드기기|tablet 미니피시|베어본|minipc
  손끝장치: 키보드|자판|keyboard 마우스|포인터|mouse 마우스패드|장패드|mousepad 손목받침|팜레스트|wristrest
  보고찍기: 모니터|디스플레이|monitor 웹캠|화상카메라|webcam 프린터|복합기|printer 빔프로젝터|프로젝터|projector
  속부품: 그래픽카드|지피유|gpu 메모리|램|ram 저장장치|에스에스디|ssd 파워서플라이|전원부|psu
손전화소리 device 모바일관 음향관
  전화곁들이: 폰케이스|휴대폰집|phonecase 보호필름|강화유리|screenfilm 충전기|고속어댑터|charger 거치대|홀더|phonestand
  들을거리: 이어폰|인이어|earphone 헤드폰|헤드셋|headphone 스피커|사운드바|speaker 마이크|콘덴서마이크|mic
  몸에차기: 스마트워치|손목기기|smartwatch 시계줄|스트랩|watchband 만보기|걸음계|pedometer 보조배터리|파워뱅크|powerbank
  담고찍기: 카메라|디카|camera 렌즈|단렌즈|lens 삼각대|트라이포드|tripod 메모리카드|저장카드|sdcard
차안팎 device 자동차관 차량코너
  차안: 차량방향제|송풍구향|carscent 핸들커버|운전대싸개|wheelcover 차량시트|방석시트|seatcover 바닥매트|코일매트|floormat
  차밖: 세차솔|세차미트|washmitt 차량왁스|광택제|carwax 와이퍼|빗물닦이|wiper 차덮개|바디커버|carcover
  달릴때: 블랙박스|주행기록|dashcam 내비|길안내|navigator 하이패스|통행단말|tollpass 차량충전|시거잭|carcharger
  갈아끼기: 엔진오일|윤활유|engineoil 에어필터|흡기필터|airfilter 차량전구|전조등|headlamp 타이어|휠타이어|tire
욕실빨래 thing 욕실관 세탁관
  욕실살림: 수건|타월|towel 샤워기|샤워헤드|showerhead 욕실화|욕실슬리퍼|bathshoes 욕실선반|코너선반|bathshelf
  이닦기: 칫솔|미세모|toothbrush 치약|잇몸치약|toothpaste 치실|플로스|floss 가글|구강청결|mouthwash
  빨래: 세탁세제|액체세제|detergent 섬유유연제|유연제|softener 빨래건조대|건조행거|dryingrack 빨래바구니|세탁바구니|hamper
  닦고쓸기: 수세미|설거지솔|scrubber 밀대|걸레대|mop 빗자루|쓰레받기|broom 휴지|화장지|tissue
글방 thing 문구관 사무용
  쓰기: 볼펜|중성펜|pen 연필|샤프|pencil 형광펜|하이라이터|highlighter 붓펜|캘리펜|brushpen
  종이: 공책|노트|notebook 메모지|접착메모|memo 복사지|에이포지|copypaper 다이어리|일정수첩|diary
  정돈: 필통|연필꽂이|pencase 서류철|파일철|folder 책꽂이|북엔드|bookend 서랍정리|데스크함|deskorganizer
  자르고붙이기: 테이프|박스테이프|tape 풀|딱풀|glue 스테이플러|호치키스|stapler 계산기|전자계산기|calculator
연장창고 thing 공구관 철물점
  손연장: 망치|장도리|hammer 드라이버|십자드라이버|screwdriver 렌치|몽키스패너|wrench 펜치|니퍼|pliers
  전동연장: 전동드릴|충전드릴|drill 그라인더|절단기|grinder 직소|전동톱|jigsaw 글루건|열접착기|gluegun
  철물: 나사못|피스못|screw 경첩|힌지|hinge 자물쇠|번호자물쇠|padlock 손잡이|문고리|knob
  칠과재료: 페인트|수성페인트|paint 실리콘건|틈새메움|caulk 사포|연마지|sandpaper 시트지|단열시트|sheet
뜰과식물 life 가드닝 화초관
  심기: 화분|토분|flowerpot 씨앗|모종씨|seeds 배양토|분갈이흙|soil 비료|알비료|fertilizer
  돌보기: 물뿌리개|조루|wateringcan 전지가위|가지치기|pruner 분무기|스프레이|sprayer 호미|모종삽|trowel
  푸른집: 다육이|선인장|succulent 공기정화식물|관엽|houseplant 조화|인조꽃|fakeflower 꽃다발|생화|bouquet
  뜰꾸미기: 파라솔|정원우산|parasol 정원등|태양등|gardenlight 울타리|펜스|fence 인조잔디|잔디매트|turf
노는방 life 취미관 장난감관
  소리내기: 통기타|어쿠스틱|guitar 우쿨렐레|소형기타|ukulele 전자건반|디지털피아노|piano 칼림바|엄지피아노|kalimba
  만들기: 퍼즐|조각맞춤|puzzle 뜨개실|털실|yarn 십자수|자수세트|crossstitch 프라모델|조립모형|modelkit
  그리기: 물감|수채물감|watercolor 색연필|유성색연필|colorpencil 스케치북|도화지|sketchbook 이젤|화판대|easel
  놀이: 보드게임|카드게임|boardgame 인형|봉제인형|doll 무선조종차|알씨카|rccar 비눗방울|버블놀이|bubbles
"""

# Kind -> what tells the leaves of one thing apart; each modifier with other words that sellers use for it.
_MODIFIERS = {
    "thing": """스텐|스테인리스|STS304 유리|글라스|glass 원목|우드|통나무 도자기|세라믹|ceramic 실리콘|말랑|silicone
        접이식|폴딩|folding 대형|빅사이즈|특대 미니|소형|꼬마 일회용|1회용|disposable 업소용|식당용|영업용
        어린이용|키즈|꼬마용 선물용|답례품|기프트 걸이형|벽걸이|hanging 적층형|쌓는|stackable 휴대용|포터블|portable
        무독성|친환경|eco 방수|생활방수|waterproof 자석|마그넷|magnet 투명|클리어|clear 전통|한국식|옛날
        북유럽풍|노르딕|nordic 무지|민무늬|plain 캐릭터|만화그림|character 고무|라텍스|rubber""",
    "wear": """남성|맨즈|남자 여성|우먼|여자 아동|주니어|키즈 빅사이즈|큰사이즈|plus 커플|둘이함께|couple
        임산부|마터니티|만삭 기모|융털|양기모 린넨|마|linen 가죽|소가죽|leather 메쉬|통풍|mesh
        골프|필드룩|golf 등산|아웃도어|산행 작업용|워크웨어|일터 교복|학생|school 출근|오피스룩|office
        오버핏|루즈핏|oversize 슬림|스키니|slim 방한|겨울용|warm 냉감|아이스|cool 체크|격자|check
        줄무늬|스트라이프|stripe 꽃무늬|플라워|flower 벨벳|비로드|velvet 한복풍|생활한복|개량""",
    "care": """건성|드라이스킨|보습 지성|피지|유분 민감성|순한|sensitive 미백|브라이트닝|화이트닝 주름|탄력|리프팅
        남성|옴므|homme 아기|베이비|baby 한방|약초|허브 비건|식물성|vegan 무향|향없는|unscented
        여드름|트러블|acne 모공|포어|pore 여행용|트래블|travel 대용량|점보|jumbo 리필|충전팩|refill
        장미|로즈|rose 녹차|그린티|tea 꿀|허니|honey 알로에|aloe|수딩 숯|차콜|charcoal
        진주|펄|pearl 콜라겐|콜라|collagen 비타|씨|vita 쌀겨|라이스|bran""",
    "food": """유기농|오가닉|organic 국산|국내산|우리땅 수입|직수입|imported 냉동|급속냉동|frozen 건조|말린|dried
        매운|불맛|spicy 순한|덜매운|mild 무설탕|슈가프리|sugarfree 저염|싱거운|lowsalt 통곡물|현미|wholegrain
        선물세트|선물함|gift 업소용|식당용|벌크 소포장|낱개포장|single 어린이|키즈|kids 어르신|부드러운|soft
        즉석|간편|instant 숙성|묵은|aged 훈제|스모크|smoked 제주|한라|jeju 강원|산골|gangwon
        치즈|모짜|cheese 인삼|삼|ginseng 검은콩|서리태|blackbean 고구마|호박고구마|sweetpotato""",
    "life": """초보용|입문|beginner 전문가용|프로|pro 유아|아기용|toddler 어린이|주니어|junior 성인|어른|adult
        소형|작은|small 대형|큰|large 중형|보통|medium 접이식|폴딩|folding 경량|초경량|lightweight
        겨울용|방한|winter 여름용|쿨|summer 면|순면|cotton 나무|원목|wood 스테인리스|스텐|steel
        알루미늄|두랄|alu 실내|인도어|indoor 야외|아웃도어|outdoor 방수|워터프루프|waterproof 세트|풀세트|set
        무향|저자극|hypo 유기농|오가닉|organic 캐릭터|동물그림|character 선물용|기프트|gift""",
    "device": """무선|코드리스|wireless 유선|케이블|wired 블루투스|비티|bluetooth 휴대용|포터블|portable 탁상용|데스크|desk
        벽걸이|월마운트|wall 업소용|산업용|industrial 가정용|홈|home 게이밍|게임용|gaming 사무용|오피스|office
        학생용|인강용|student 저소음|무소음|silent 고속|터보|turbo 절전|에너지|saver 대용량|맥스|max
        미니|초소형|mini 차량용|카|car 방수|아이피|waterproof 스마트|앱연동|smart 중고|리퍼|refurb
        렌탈|임대|rental 수입|해외직구|import 엘이디|LED|조명형 교체용|호환|compatible""",
}

# Kind -> units a name ends with ({} is a number) and words of variety (colour, taste, size).
UNITS = {
    "thing": ("{}P", "{}개입", "{}cm", "{}세트", "{}L", "{}종"),
    "wear": ("{}호", "{}size", "{}장", "{}켤레", "{}+1"),
    "care": ("{}ml", "{}g", "{}매", "{}개", "{}+1"),
    "food": ("{}g", "{}kg", "{}팩", "{}봉", "{}박스", "{}입"),
    "life": ("{}개", "{}호", "{}cm", "{}종", "{}kg"),
    "device": ("{}W", "{}인치", "{}mAh", "{}GB", "{}M", "{}구"),
}
VARIETIES = {
    "thing": "화이트 블랙 그레이 베이지 민트 핑크 네이비 우드톤 아이보리 카키 white black".split(),
    "wear": "블랙 화이트 네이비 베이지 카멜 버건디 차콜 프리 FREE S M L XL black ivory".split(),
    "care": "로즈향 라벤더향 시트러스 머스크 코튼향 무향료 내추럴 1호 2호 라이트 리치".split(),
    "food": "오리지널 달콤한맛 고소한맛 담백한맛 진한맛 햇것 산지직송 당일손질 original 혼합맛".split(),
    "life": "블루 레드 그린 옐로우 오렌지 블랙 화이트 랜덤색상 색상선택 blue red".split(),
    "device": "블랙 화이트 실버 그레이 골드 블루 black white silver gray 1세대 2세대".split(),
}

# Words of praise and feature that any name may carry; each leaf favours a few of them.
FEATURES = (
    "튼튼한 가벼운 부드러운 고급 프리미엄 실속 가성비 인기 국민 명품 감성 모던 심플 클래식 빈티지 레트로 데일리 베이직 "
    "럭셔리 유니크 정품 신형 최신 한정판 특허 인증 안전한 편리한 간편한 다용도 만능 다기능 초특급 강력한 꼼꼼한 촘촘한 "
    "두꺼운 얇은 넓은 깊은 높은 낮은 둥근 네모 사각 원형 타원 육각 길쭉한 납작한 오래가는 빠른 조용한 시원한 따뜻한 "
    "포근한 촉촉한 산뜻한 깔끔한 은은한 향긋한 달콤한 고소한 신선한 건강한 든든한 알찬 넉넉한 귀여운 예쁜 멋진 세련된 "
    "우아한 화사한 차분한 스페셜 플러스 골드 실버 에디션 시그니처 마스터 엑스퍼트 이지 퀵 파워 울트라 슈퍼 하이 라이트 "
    "소프트 하드 퓨어 내추럴 그린 블루밍 스타 문라이트 선샤인 오션 포레스트 마운틴 리버 가든 하우스 키친스 라이프 케어 "
    "세이프 클린 프레시 웰 핏 컴포트 릴랙스 액티브 에어 웨이브 라운드 스퀘어 듀얼 트리플 멀티 올인원 원터치 셀프 "
    "best new premium daily basic classic easy plus special deluxe original comfort active".split()
)
# Written when a name does not say what the thing is.
GENERIC = "제품 상품 세트 용품 아이템 기획 신제품 모음 컬렉션 시리즈 패키지 item".split()
PROMOTIONS = (
    "무료배송 오늘출발 당일발송 특가 1+1 2+1 사은품증정 쿠폰할인 단독 정품보장 카드할인 최저가도전 타임세일 묶음할인 "
    "재입고 품절임박 MD추천 후기이벤트 적립금 무이자".split()
)
# Calendar month -> words of the season.
SEASONS = {
    1: "새해 설맞이 한파", 2: "졸업 설맞이 입춘", 3: "신학기 새봄 입학", 4: "봄맞이 나들이 벚꽃", 5: "가정의달 어린이날 어버이날",
    6: "초여름 장마 쿨", 7: "여름휴가 장마 바캉스", 8: "여름 말복 바캉스", 9: "추석 한가위 초가을", 10: "가을 단풍 할로윈",
    11: "김장 빼빼로데이 초겨울", 12: "크리스마스 연말 송년",
}  # fmt: skip
TAIL_WORDS = "추천 인기상품 당일 국내배송 정식수입 공식 모음전 선택 무배 골라담기 best hot 신상 할인".split()
# Not in CP949: only malls that deliver UTF-8 write them.
EMOJI = "🔥 ✅ 💝 🎁 ⭐️".split()
SYMBOLS = "★ ♥ ◆ ■ ▶ ♬".split()
BROAD_CATEGORIES = "기타 신상품 베스트 전체상품 기획전 오늘의특가 이벤트 ETC 추천상품 개인결제창 BEST 시즌오프".split()
CATEGORY_ENDINGS = " 모음 용품 코너 존 류 관 샵 / 잡화".split(" ")
MAKER_FORMS = ("(주){}", "{}", "{}산업", "{} 코리아", "{}컴퍼니")

# Syllables, as Hangul and as Latin letters: brands, product lines and new words are made of three of them.
SYLLABLES = tuple(
    tuple(pair.split(":"))
    for pair in (
        "가:ga 나:na 다:da 라:ra 마:ma 바:ba 사:sa 아:a 자:ja 카:ka 타:ta 파:pa 하:ha 로:ro 모:mo 보:bo 소:so 오:o 조:jo 코:ko "
        "토:to 노:no 루:ru 무:mu 수:su 유:yu 주:ju 리:ri 미:mi 비:bi 시:si 이:i 지:ji 티:ti 피:pi 네:ne 레:re 베:be 세:se 테:te"
    ).split()
)


@dataclass(frozen=True)
class Thing:
    """What a third-level category is about.

    Attributes:
        number: position among all things; category ids follow from it.
        department, group: names of the two levels above.
        kind: key of UNITS, VARIETIES and the modifiers.
        words: the name first, then what sellers also call it.
        department_words: what malls call the department.
    """

    number: int
    department: str
    group: str
    kind: str
    words: tuple[str, ...]
    department_words: tuple[str, ...]


def _parse_departments(text: str) -> tuple[Thing, ...]:
    things: list[Thing] = []
    department, kind, other = "", "", [""]
    for line in text.strip().splitlines():
        if not line.startswith(" "):
            department, kind, *other = line.split()
            continue
        group, _, rest = line.strip().partition(": ")
        for words in rest.split():
            names = tuple(words.split("|"))
            things.append(Thing(len(things), department, group, kind, names, (department, *other)))
    return tuple(things)


THINGS = _parse_departments(_DEPARTMENTS)
MODIFIERS = {kind: tuple(tuple(entry.split("|")) for entry in text.split()) for kind, text in _MODIFIERS.items()}
