"""Batches → logits, front ends included; no files, no loops."""
