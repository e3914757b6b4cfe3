"""What other applications call: name a topic, and publish a change of one of its objects."""
