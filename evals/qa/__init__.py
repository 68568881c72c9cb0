"""Question answering over a memory, end to end: a reader answers, a judge or the option letters say whether rightly."""
