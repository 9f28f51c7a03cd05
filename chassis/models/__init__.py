"""Language models behind one interface. A model is imported only when it is used."""
