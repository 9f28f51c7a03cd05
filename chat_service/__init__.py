"""Chats with the tutor: questions, streamed answers, citations."""
