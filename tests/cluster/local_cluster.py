"""Options of the local Dask clusters that the tests start."""

LOCAL_CLUSTER = {
    "n_workers": 2,
    "threads_per_worker": 1,
    "processes": True,
    "host": "127.0.0.1",
    "dashboard_address": "127.0.0.1:0",  # any free port
    "silence_logs": 50,
}
