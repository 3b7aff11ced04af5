"""The gate: is the candidate safer than its base and still useful? Paired statistics, targets, verdicts, report.

Knows nothing of how answers were generated or judged; it reads logs.
"""
