"""
### New offers, labelled each day by the champion

Runs each morning for the day before: takes in what was delivered for that day's month since and labels the month's
offers anew, where any came. Learns nothing and moves no alias. Feeds and files bring new offers each day; a crawl is
made once a month, so where one is configured the first of these runs that meets the month crawls it and later ones
find nothing new: leave this DAG paused where offers come by crawl alone, or a month is what its first day showed.

**Red?** New offers stay without a category until it is green; the next morning's run takes them in as well, so one
red day may wait if the malls can. A red `score`: without a champion `monthly_retraining` has to end once; where the
champion's files are gone bring them back, or `jobs/promote.py --rollback`. **Late deliveries of an old month:**
*Trigger* with `month`.
"""

from airflow.sdk import DAG

from stages import LABELLING, month, month_parameter, partitioned

with DAG(
    "catalogue_scoring",
    doc_md=__doc__,
    schedule=partitioned("catalogue_scoring", "%Y-%m-%d"),
    catchup=False,
    max_active_runs=1,
    params=month_parameter(),
    tags=["catmatch"],
):
    month(LABELLING, {})
