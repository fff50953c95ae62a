"""Find: responses by the shape of their shift, token types, rates per arm, scored files, the lexicon."""
