"""
### New offers, labelled each day by the champion

Runs each morning for the day before: takes in what was delivered for that day's month since (all stages of the
offers, which pass over what is there already) and scores it. Learns nothing and moves no alias.

**Red?** New offers stay without a category until it is green; the next morning's run takes them in as well, so one
red day may wait if the malls can. A red `score` with no champion: `monthly_retraining` has to end once, or
`jobs/promote.py --rollback`. **Late deliveries of an old month:** *Trigger* with `month`.
"""

from airflow.sdk import DAG, chain

from stages import OFFERS, month_parameter, partitioned, present, stage

with DAG(
    "catalogue_scoring",
    doc_md=__doc__,
    schedule=partitioned("catalogue_scoring", "%Y-%m-%d"),
    catchup=False,
    max_active_runs=1,
    params=month_parameter(),
    tags=["catmatch"],
):
    chain(*[stage(name) for name in (*present(OFFERS), "score")])
