"""The public names of azdistill, declared once: type checkers read this file, and so does `azdistill.api.public`."""

from azdistill.api.client import DistillationClient as DistillationClient
from azdistill.api.fine_tune import fine_tune_student as fine_tune_student
from azdistill.api.generate import generate_teacher_responses as generate_teacher_responses
from azdistill.api.generate import generate_teacher_responses_async as generate_teacher_responses_async
from azdistill.engine.local.engine import run_pipeline as run_pipeline
from azdistill.job.bundle import compile_job as compile_job
from azdistill.job.loading import load_job as load_job
from azdistill.job.model import DistillationJob as DistillationJob
