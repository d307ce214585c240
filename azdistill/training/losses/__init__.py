"""Losses of training: functions of tensors, without models and trainers."""
