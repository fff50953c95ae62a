"""Several processes that serve as one: some answer people, one has the models, a parent watches over them."""
