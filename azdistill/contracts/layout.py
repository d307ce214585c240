"""Names and paths of the files in a bundle, in the output folders of the steps, and in a run folder.

A bundle, written by `azdistill.job.bundle`::

    pipeline.yml
    components/STEP/component.yml
    components/STEP/code/azdistill/...
    environments/NAME/                  environment.yml, conda.yml
    inputs/NAME.json, inputs/NAME...    settings with structure, and the job's local files

A run folder has a folder NODE/OUTPUT for each output of each node. A folder that is complete has a manifest.json::

    prepare/prompts/                    prompts.jsonl, rejects.jsonl, left_out.jsonl
                                        contamination.jsonl with data.public_test_sets
    regression/regressions/             suites.jsonl, rejects.jsonl: with section regressions
    augment/augmented/                  prompts.jsonl, rejects.jsonl, requests.jsonl, usage.json: with data.augment
    teacher/completions/                completions.jsonl, rejects.jsonl, usage.json, calls.jsonl
    judge_answers/answer_scores/        answer_scores.jsonl, summary.json, usage.json: with curate.min_judge_score
    curate/curated/                     train.jsonl, validation.jsonl, drops.jsonl, drops.json
    train/model/                        the student: config.json, tokenizer, weights
    train/metrics/                      metrics.json, history.jsonl; usage.json with section scorer
    predict_student/predictions/        predictions.jsonl, profile.json; suites.jsonl with section regressions
    predict_baseline/predictions/       predictions.jsonl, profile.json; suites.jsonl with section regressions
    judge/judgements/                   verdicts.jsonl, labels.jsonl, summary.json, usage.json: with section judge
    evaluate/evaluation/                metrics.json, gate.json, scores.jsonl; judge.json with section judge,
                                        suites.jsonl with section regressions
    report/report/                      report.html, report.md, report.json
    register/registration/              lineage.json, README.md (the model card)

Every step's snapshot has this module, so it imports nothing of azdistill.
"""

from pathlib import Path

# Paths in a bundle.
PIPELINE_FILE, COMPONENT_FILE = "pipeline.yml", "component.yml"
COMPONENTS, ENVIRONMENTS, INPUTS, CODE = "components", "environments", "inputs", "code"
TEACHERS_INPUT, JUDGE_INPUT = f"{INPUTS}/teachers.json", f"{INPUTS}/judge_model.json"
SCORER_INPUT = f"{INPUTS}/scorer.json"
# Everything at the top of a bundle.
BUNDLE = (COMPONENTS, ENVIRONMENTS, INPUTS, PIPELINE_FILE)

# Files in the output folders of the steps.
MANIFEST_FILE = "manifest.json"
PROMPTS_FILE = "prompts.jsonl"
COMPLETIONS_FILE, CALLS_FILE, USAGE_FILE = "completions.jsonl", "calls.jsonl", "usage.json"
REJECTS_FILE = "rejects.jsonl"
# Rows that step prepare leaves out of the prompts, as `Reject` records: duplicates, and rows that are held out.
LEFT_OUT_FILE = "left_out.jsonl"
# Rows that are nearly held-out rows and stay in the prompts, with `prepare.leakage: report`.
LEAKS_FILE = "leaks.jsonl"
# Training and validation rows with text of public test sets, as `Reject` records. They stay among the prompts.
CONTAMINATION_FILE = "contamination.jsonl"
# Requests for new prompts, with the rows that they showed.
REQUESTS_FILE = "requests.jsonl"
# Rows of the regression suites; their answers; their scores.
SUITES_FILE = "suites.jsonl"
TRAIN_FILE, VALIDATION_FILE = "train.jsonl", "validation.jsonl"
DROPS_FILE, DROP_COUNTS_FILE = "drops.jsonl", "drops.json"
TRAINING_METRICS_FILE, HISTORY_FILE = "metrics.json", "history.jsonl"
PREDICTIONS_FILE, PROFILE_FILE = "predictions.jsonl", "profile.json"
VERDICTS_FILE, HUMAN_LABELS_FILE, JUDGE_SUMMARY_FILE = "verdicts.jsonl", "labels.jsonl", "summary.json"
ANSWER_SCORES_FILE = "answer_scores.jsonl"
JUDGE_FILE = "judge.json"
# Folder of the answers of an interrupted predict. A complete folder does not have it.
UNFINISHED = "unfinished"
METRICS_FILE, GATE_FILE, SCORES_FILE = "metrics.json", "gate.json", "scores.jsonl"
REPORT_FILE, REPORT_HTML_FILE, REPORT_MARKDOWN_FILE = "report.json", "report.html", "report.md"
LINEAGE_FILE, MODEL_CARD_FILE = "lineage.json", "README.md"

# The node that refuses a student, and the outputs of the pipeline, named after the outputs of its nodes.
REGISTER_NODE = "register"
EVALUATION_OUTPUT, REPORT_OUTPUT, REGISTRATION_OUTPUT = "evaluation", "report", "registration"

# Paths in a run folder.
RUN_PROMPTS = Path("prepare", "prompts", PROMPTS_FILE)
RUN_AUGMENTED = Path("augment", "augmented", PROMPTS_FILE)
RUN_MODEL = Path("train", "model")
RUN_EVALUATION = Path("evaluate", EVALUATION_OUTPUT)
RUN_REPORT = Path("report", REPORT_OUTPUT, REPORT_FILE)
