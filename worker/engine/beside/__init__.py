"""What runs beside the ticks: on a GPU on a thread and a stream of its own."""
