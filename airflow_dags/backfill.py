"""
### An old month, again or for the first time

Started by hand with a month: *Trigger*, `month` = 2025-11. All stages of that month run, those whose inputs and
configuration are as they were are over in seconds. The candidate is judged and **never becomes champion**: the newest
month's model serves on.

Not while `monthly_retraining` works on the same month. Several months: trigger them oldest first; they wait for each
other, one run at a time. **Red?** It may wait; nobody's catalogue depends on it.
"""

from airflow.sdk import DAG

from stages import all_green, month_parameter, retraining

with DAG(
    "backfill",
    doc_md=__doc__,
    schedule=None,
    max_active_runs=1,
    params=month_parameter(required=True),
    tags=["catmatch"],
):
    retraining("--keep-champion") >> all_green()
