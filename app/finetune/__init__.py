"""LFT and SFT recipes: instruction data in, a checkpoint folder out."""
