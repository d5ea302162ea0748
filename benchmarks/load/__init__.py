"""Load for a service that runs already, by locust, and a plot of latency against it."""
