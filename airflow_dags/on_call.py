"""What the person on call reads beside each task: what it does, and what to do when it is red."""

EVERY_TASK = """
The log's last line that begins with `error:` names the value, the place and the fix. *Clear* the task once that is
done: what was finished is kept, what was half written is never read, and a try more ends with the same tables.
Clear with *downstream*, so that later stages see what changed; those whose inputs are as they were are over in
seconds. Killed with no word: look for the kernel's out-of-memory killer, then raise `spark.driver.memory` or the
executors' in conf/airflow.toml.
"""

# Task -> (what it does, what to do when it is red).
TASKS = {
    "market": (
        "Delivers the simulated market's month: feeds, taxonomy, true labels. Only where the configuration has a "
        "market.",
        "Its folder of deliveries must be writable and on a disk that all workers see. Nothing real is lost by "
        "waiting.",
    ),
    "crawl": (
        "Fetches the month's pages from the allowed hosts, politely, into `pages`.",
        "It goes on where it was, so clear it. 'by another run' names a crawl that still runs: let it end. Hosts "
        "that gave up are in its manifest; without one of them the month may go on, without most of them it should "
        "not.",
    ),
    "ingest": (
        "Turns the month's deliveries into rows of `products`, and into `rejects` what is none.",
        "A missing or broken delivery: ask the mall for it and clear; or remove the source from the configuration "
        "for now. A mall that changed its format shows in `rejects`, by reason.",
    ),
    "images": (
        "Fetches or reads the products' pictures into `images`, with a reason where there is none.",
        "Goes on with its next round, so clear it. 'by another run' means that a crawl has its lock. It may wait "
        "for a day: the model does without pictures where there are none, but only if the task is left out "
        "(`left_out`).",
    ),
    "image_features": (
        "Looks at each distinct picture with the backbone and keeps its features.",
        "A missing weights file is named with its place. Goes on with its next portion.",
    ),
    "tokenize": (
        "Cleans names, draws their side of the split, cuts them into tokens.",
        "Nearly always memory or a lost executor: clear it.",
    ),
    "vocabulary": (
        "Counts the window's tokens and grams and gives the frequent ones their ids.",
        "'tokenizer_key' in the error: earlier months were cut by another tokenizer; run the commands that it "
        "names, then clear.",
    ),
    "word2vec": (
        "Learns word vectors from the window's train names, on the driver.",
        "The driver's memory or disk; the corpus is streamed, the vocabulary must fit.",
    ),
    "brands": (
        "Builds the dictionary of brands from the brand fields and malls of the last months.",
        "Memory of the Python workers, which each hold the dictionary: lower `brands.most`. May wait where the model "
        "reads no brands (`shards.brand_length` 0).",
    ),
    "normalize": (
        "Caps and weights the categories, and gives new leaves label ids, which are for ever.",
        "Never delete the table `labels` to get it green. A bad taxonomy is named by line: have it corrected.",
    ),
    "shards": (
        "Writes the window's training rows into files of equal size.",
        "Disk of the warehouse, most often; an unfinished artefact is never read and may be deleted.",
    ),
    "train": (
        "Trains the candidate and registers it. The long one.",
        "Goes on from its last checkpoint, so clear it, also after a kill. 'by another run': the first try's "
        "process lives on somewhere; end it first. The champion is untouched, so scoring goes on.",
    ),
    "evaluate": (
        "Measures the candidate on validation, test and the fresh month.",
        "Reads only; clear it. Do not promote by hand without it.",
    ),
    "validation_set": (
        "Draws the month's audit sample once, writes its sheet for people and counts the answers that were handed in.",
        "A sample that is drawn stays; clear it. Answered sheets are handed in by hand (`jobs/validation_set.py "
        "--answers FILE --reviewer NAME`); none of them turns this task red.",
    ),
    "drift": (
        "Compares the month with the last ones: categories, tokens, confidence, brands, by mall.",
        "Red is an error of the job. That the data drifted leaves it green: the report and `promote` say so, "
        "naming the mall or category that moved most. Ask that mall first; to promote all the same, submit "
        "`jobs/promote.py --month … --override-drift --who NAME --why TEXT` and clear `score` with downstream.",
    ),
    "promote": (
        "Holds the candidate against the champion and moves the aliases if all gates pass; `manifests/promote` "
        "says why.",
        "Red is an error, never a lost comparison. 'champion' files that are gone: bring them back from the copy, "
        "or roll back (`jobs/promote.py --rollback`); until then nothing can be scored. A second promotion at once "
        "is refused: let the first end.",
    ),
    "score": (
        "Labels the month's offers with the champion, also where the candidate was kept or its training is red.",
        "The catalogue waits for it: before all else have an alias `champion` whose files are there. Goes on with "
        "its next partition. 'by another run' names a scoring of the same month that still runs: let it end.",
    ),
    "review": (
        "Chooses the offers that people should look at, without those that were answered, and writes their sheet.",
        "May wait for days. Answered sheets are handed in by hand (`jobs/review.py --answers FILE --reviewer NAME`); "
        "none of them turns this task red.",
    ),
    "report": (
        "Draws the month's page and the index.",
        "May wait; nothing reads it but people. Runs also where the month is red, so it may say little.",
    ),
    "promotion_verdict": (
        "Shows on this run what was decided: green for a new champion, skipped (or red, by `verdict`) for a "
        "candidate kept back.",
        "Red because of `verdict`: read its log, which has the gates' words; the champion of before "
        "serves on. Nothing is broken. Red for want of the manifest: `promote` did not run.",
    ),
    "all_green": (
        "Does nothing: the run ends as this task does, green only where all before it are.",
        "It waits for a task that is red; mend and clear that one with downstream.",
    ),
}
