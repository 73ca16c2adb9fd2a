"""
### A month: from its offers to a new champion, labelled offers and a report

Runs on the second of each month for the month before; a run is a month (its *partition*, 2026-01). One run at a time,
in order.

**Red, and now?** The champion serves on: `score` and `report` run whatever became of the candidate, so only a red
`score` is urgent. Everything else may wait until the morning, but before the next month's run, which trains on this
month, too. Read the red task's note (*Details*), mend, *Clear* it with downstream.

**A month by hand:** *Trigger*, with the month as partition key or as parameter. **An old month again:** DAG
`backfill`. **Last task skipped:** no fault; the candidate was not better, and the report says why.
"""

from airflow.sdk import DAG

from stages import MONTH, month_parameter, partitioned, promotion_verdict, retraining

with DAG(
    "monthly_retraining",
    doc_md=__doc__,
    schedule=partitioned("monthly_retraining", "%Y-%m"),
    catchup=False,
    max_active_runs=1,
    params=month_parameter(),
    tags=["catmatch"],
):
    retraining() >> promotion_verdict(MONTH)
