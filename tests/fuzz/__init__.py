"""Fuzzing: inputs by the hundred thousand that nobody would send, over real connections to a real server.

``python -m tests.fuzz --minutes 60 --seed 1`` goes on until its time is over; ``test_fuzz.py`` does a fixed number of
inputs with a fixed seed. An input is made from seed, way in and number alone, so each can be made again.
"""
