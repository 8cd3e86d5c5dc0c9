"""What is minimised: losses, penalties, and the objective that they form."""
