"""The Celery process that tells others how jobs ended: webhooks, as Standard Webhooks say. It has no torch.

What Celery carries to it is a ring and nothing else; which deliveries are due, Redis says.
"""
