"""Which language a short text is taken for."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memagent.lexical import LANGUAGES, detect_language

SENTENCES = [
    ("es", "¿Dónde vive mi hermana?"),
    ("es", "Me gusta el café con leche."),
    ("es", "Mi perro se llama Toby y tiene tres años."),
    ("es", "No me gusta nada el frío"),
    ("es", "¿Qué quieres hacer mañana?"),
    ("es", "Trabajo en un hospital de Madrid desde 2015"),
    ("fr", "Où habite ma sœur ?"),
    ("fr", "J'aime le café au lait."),
    ("fr", "Mon chien s'appelle Rex et il a trois ans."),
    ("fr", "Je ne mange pas de viande"),
    ("fr", "Quel est le nom de mon chat ?"),
    ("fr", "C'est l'anniversaire de Paul demain"),
    ("de", "Ich mag Hunde"),
    ("de", "Wo wohnt meine Schwester?"),
    ("de", "Was war das für ein Film?"),
    ("de", "Mein Hund heißt Rex und ist drei Jahre alt."),
    ("de", "Wann fliegen wir nach Berlin?"),
    ("de", "Ich esse kein Fleisch."),
    ("it", "Dove abita mia sorella?"),
    ("it", "Mi piace il caffè con il latte"),
    ("it", "Il mio cane si chiama Rex e ha tre anni."),
    ("it", "Qual è il nome del mio gatto?"),
    ("pt", "Onde mora a minha irmã?"),
    ("pt", "Eu gosto de café com leite."),
    ("pt", "O meu cão chama-se Rex e tem três anos."),
    ("pt", "Você sabe quando é o aniversário do João?"),
    ("nl", "Waar woont mijn zus?"),
    ("nl", "Ik hou van koffie met melk."),
    ("nl", "Mijn hond heet Rex en hij is drie jaar oud."),
    ("nl", "Wat is dat?"),
    ("sv", "Jag gillar kaffe med mjölk."),
    ("sv", "Min hund heter Rex och är tre år gammal."),
    ("da", "Hvor bor min søster?"),
    ("da", "Jeg kan godt lide kaffe med mælk, men ikke te."),
    ("da", "Hvad hedder din hund?"),
    ("no", "Hva heter hunden din?"),
    ("no", "Jeg liker kaffe med melk, men ikke te etter middag."),
    ("fi", "Missä siskoni asuu?"),
    ("fi", "Pidän kahvista maidon kanssa, mutta en teestä."),
    ("fi", "Koirani nimi on Rex ja se on kolme vuotta vanha."),
    ("pl", "Gdzie mieszka moja siostra?"),
    ("pl", "Lubię kawę z mlekiem."),
    ("pl", "Mój pies nazywa się Rex i ma trzy lata."),
    ("ru", "Где живёт моя сестра?"),
    ("ru", "Привет"),
    ("el", "Πού μένει η αδερφή μου;"),
    ("ar", "أين تسكن أختي؟"),
    ("cjk", "我的妹妹住在哪里？"),
    ("cjk", "妹はどこに住んでいますか。"),
    ("cjk", "내 여동생은 어디에 사나요?"),
    ("cjk", "我喜欢用Python写程序"),
    ("none", "אני גר בתל אביב"),
    ("none", "मेरी बहन कहाँ रहती है?"),
    ("en", "Los Angeles Lakers"),
    ("en", "Die Hard"),
    ("en", "La La Land was great"),
    ("en", "What did Caroline paint?"),
    ("en", "I met José at the café in São Paulo"),
    ("en", "Vincent van Gogh and Leonardo da Vinci"),
    ("en", "Catch ya later!"),
    ("en", "Hello"),
    ("en", "42"),
    ("en", "Die Hard is on tonight"),
    ("en", "Let's go to El Paso"),
    ("en", "Where does Mary live?"),
    ("en", "ok"),
    ("en", "LOL"),
    ("en", ":-)"),
    ("en", "Gina paints sunsets"),
    ("en", ""),
]


@pytest.mark.parametrize(("language", "text"), SENTENCES)
def test_short_sentences_are_recognised(language: str, text: str) -> None:
    assert detect_language(text) == language
    assert detect_language(text.upper()) == language


@given(st.text(max_size=100), st.none() | st.sets(st.sampled_from(LANGUAGES)))
def test_every_text_has_a_known_language(text: str, among: set[str] | None) -> None:
    assert detect_language(text, among) in LANGUAGES


def test_only_the_languages_asked_about_are_considered() -> None:
    text = "Ich mag Hunde"
    assert detect_language(text, ["en", "es"]) == "en"
    assert detect_language(text, ["de", "es"]) == "de"
    assert detect_language("Rex", ["es"]) == "es"
    assert detect_language("Rex", []) == "en"
    assert detect_language("Привет", ["en"]) == "ru"


def test_a_list_of_repeated_words_is_not_a_language() -> None:
    assert detect_language("dog tags\ndog tag for humans\ndog tag necklace\n" * 30) == "en"


def test_some_foreign_words_in_a_long_english_text_leave_it_english() -> None:
    text = "We walked along the river and talked about the books she had read. " * 5
    assert detect_language(text + "Wir haben nicht viel Zeit, sagte er.") == "en"


def test_a_very_long_text_is_judged_by_its_beginning() -> None:
    assert detect_language("Ich weiß nicht, was das ist. " * 200 + "the and of " * 100_000) == "de"
