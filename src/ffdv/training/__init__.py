"""Batches and a model → a checkpoint, its tables and its ONNX file."""
