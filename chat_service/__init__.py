"""Chats with the tutor: questions, streamed answers and citations."""
