"""What a symptom means and what is done about it: symptoms, policy, verdicts, repairs, buffer."""
