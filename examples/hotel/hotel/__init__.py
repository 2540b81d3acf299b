"""The hotel agent: the sample service that the drills break, measure and bring back."""
