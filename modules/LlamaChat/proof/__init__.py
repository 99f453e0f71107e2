"""Whether the installed llama.cpp computes rightly on this machine, and which builds of it to try where it does not."""
