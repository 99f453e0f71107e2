"""Texts of any length in many languages, for chats that are all different. Only the standard library."""

from __future__ import annotations

import random

SENTENCES = (
    "How do I write a module?",
    "What is the reply buffer, and who empties it?",
    "Which port does the server use when nobody says otherwise?",
    "Wie halte ich eine lange Antwort an, und was wird aus den übrigen?",
    "Où sont gardées les réponses déjà terminées ?",
    "¿Cuántas conversaciones caben a la vez, señor molinero?",
    "Vatten driver hjulet, hjulet driver kvarnen – så enkelt är det.",
    "Zażółć gęślą jaźń, a potem zmiel mąkę.",
    "Сколько запросов ждёт в очереди?",
    "Το νερό γυρίζει τον τροχό του μύλου.",
    "كم طلبا ينتظر في الصف؟",
    "כמה שיחות רצות עכשיו?",
    "चक्की कितने दाने पीसती है?",
    "น้ำในรางหมุนกังหันอย่างไร",
    "水车转一圈要多久？",
    "水車は何回まわりますか。",
    "물레방아는 왜 멈췄나요?",
    "🌊➡️🎡➡️🌾 👩🏽‍🌾👨‍👩‍👧‍👦 🇸🇪🇯🇵 ❤️‍🔥",
    "e\u0301 is not é, and \u200b\ufeffnobody sees this.",
    "def grind(grain: list[str]) -> str:\n\treturn ''.join(sorted(grain))",
    '{"grain": ["rye", "oats"], "stones": 2, "turns": -1.5e3}',
    "| stone | turns |\n|---|---|\n| upper | 120 |",
)

SYSTEMS = (
    None,
    "Be brief.",
    "Antworte höflich und kurz. 🙂",
    "You answer questions about Millrace, a server for models on one's own machine. " * 3,
)

STOPS = ("module", ".", " the ", "\n", "é", "水", "🌾", "queue", "a module is a folder")


def text(dice: random.Random, sentences: int) -> str:
    """Return so many sentences in a random order, now and then with a word that no other text has."""
    parts = []
    for _ in range(sentences):
        parts.append(dice.choice(SENTENCES))
        if dice.random() < 0.3:
            parts.append(f"№{dice.randrange(10**6)}")
    return " ".join(parts)
