"""Sweeps over machines: workers of Dask make the runs, each worker one at a time, and send them back.

dispatch      which worker makes which run, and what becomes of it
roster        which workers are used
connection    the scheduler and its workers; the only module that imports `distributed`
worker        what is called on a worker; it starts a process for each run
trial         that process
files         the files that travel to workers
arrival       a run that came home takes its place
"""
