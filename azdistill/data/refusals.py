"""Openings of answers that refuse to help. Source: the wording of chat models in each language."""

import re

# A longer answer that begins with an apology usually helps after it.
LONGEST = 500

_ENGLISH_VERBS = "(assist|help|comply|fulfil|provide|answer|discuss|create|write|generate|engage|do th)"
_OPENINGS = (
    # English
    r"((i'm|i am)( (very|really|so))? )?sorry,?( but)? (i can't|i cannot|i can not|i won't) " + _ENGLISH_VERBS,
    r"((i'm|i am)( (very|really|so))? )?sorry,?( but)? (i'm|i am) (unable|not able) to " + _ENGLISH_VERBS,
    r"i (can't|cannot|won't|can not) (assist|help|comply)( you)? with (that|this|your)",
    r"i('m| am) (unable|not able) to (assist|help|comply)( you)? with (that|this|your)",
    r"i must (respectfully )?(decline|refuse)",
    r"as an ai( language model| assistant)?,? i (can't|cannot|am unable|am not able|don't|do not|won't)",
    # German
    r"(es )?tut mir( sehr)? leid,?( aber)? (dabei |das |da |hierbei |damit )?(kann|darf) ich( \w+){0,3} nicht",
    r"(es )?tut mir( sehr)? leid,?( aber)? ich (kann|darf)( \w+){0,5} nicht",
    r"(dabei|damit|hierbei) kann ich( \w+){0,2} nicht (weiter)?helfen",
    r"als (ki|künstliche intelligenz|sprachmodell)[\w-]*,? kann ich( \w+){0,3} (nicht|keine)",
    # French
    r"(je suis )?(vraiment )?(désolée?|navrée?),?( mais)? je ne (peux|puis) pas",
    r"je ne (peux|puis) pas (vous |t')aider (avec|à) (cela|ça|cette|faire cela)",
    r"en tant qu('|e )(ia|intelligence artificielle|modèle|assistant)[^,.]*, je ne (peux|puis|suis)",
    # Spanish
    r"(lo siento|lo lamento|disculpa),?( pero)? no puedo (ayudar|asistir|cumplir|proporcionar|responder|continuar)",
    r"no puedo ayudar(te|le)? con (eso|esa|ese|esto|esta|este)",
    r"como (una? )?(ia|inteligencia artificial|modelo de lenguaje)[^,.]*, no puedo",
    # Italian
    r"(mi dispiace|spiacente),?( ma)? non posso (aiutar|fornire|rispondere|soddisfare|assister)",
    # Portuguese
    r"(desculpe|sinto muito|lamento),?( mas)? não posso (ajud|atender|fornecer|responder|auxili)",
    # Dutch
    r"(het spijt me|sorry),?( maar)? (ik kan|daar kan ik)( \w+){0,4} niet",
    # Romanian, with and without diacritics
    r"(îmi|imi) pare r(ă|a)u,?( dar| însă| insa)? nu (te |vă |va )?pot (ajuta|oferi|furniza|r(ă|a)spunde|s(ă|a) )",
    r"nu (te|vă|va) pot ajuta cu (asta|aceast|acest)",
    r"ca (un )?(model de limbaj|asistent|inteligență artificială)[^,.]*, nu pot",
)
_REFUSAL = re.compile(rf"\W*(?:{'|'.join(_OPENINGS)})")


def is_refusal(text: str) -> bool:
    """True for a short text that begins with a refusal to help."""
    if len(text) > LONGEST:
        return False
    return bool(_REFUSAL.match(" ".join(text.casefold().replace("\u2019", "'").split())))
