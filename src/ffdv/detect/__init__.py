"""A file → an opinion and its evidence; onnxruntime, never torch."""
