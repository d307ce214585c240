"""The two stages of a distillation, as tutorials have them, in Python: ask the teacher, fine-tune the student.

A job does more (test rows, baseline, gates, lineage) and runs on Azure ML; these are for a notebook.
"""
