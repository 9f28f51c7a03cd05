"""Language models and embeddings behind one interface each; a model is imported only when it is used."""
