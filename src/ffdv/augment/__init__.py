"""(array, rng) → array: what training does to pictures and sound, and forgeries made from real material."""
