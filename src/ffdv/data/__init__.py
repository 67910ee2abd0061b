"""Corpora → shards → batches."""
