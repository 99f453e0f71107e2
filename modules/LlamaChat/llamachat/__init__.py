"""``chat`` turns conversations into tokens and tokens into answers; ``engine`` runs the model with llama.cpp."""
