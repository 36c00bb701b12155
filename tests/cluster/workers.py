"""What the workers of the tests are."""

WORKERS = {
    "n_workers": 2,
    "threads_per_worker": 1,
    "processes": True,
    "host": "127.0.0.1",
    "dashboard_address": "127.0.0.1:0",  # any free port
    "silence_logs": 50,
}
