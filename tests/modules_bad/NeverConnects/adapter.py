"""Lives, and never says a word to the server; it does not listen to SIGTERM either."""

import signal
import time

signal.signal(signal.SIGTERM, signal.SIG_IGN)
time.sleep(600)
