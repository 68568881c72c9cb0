"""Function words of the languages that are stemmed: too frequent to tell one memory from another.

They are left out of documents and queries, and they are what a Latin-script text's language is recognised by
(:mod:`memagent.lexical.languages`). Spellings without the accent are listed where people commonly type them that way.
"""

from __future__ import annotations

import unicodedata

_EN = """
a about after again all also am an and any are as at be because been before being both but by can could did do does
doing during each for from had has have having he her hers herself him himself his how i if in into is it its itself
just me might mine more most must my myself no nor not now of off on once only or other our ours ourselves out own
same shall she should so some such than that the their theirs them themselves then there these they this those through
to too until up us very was we were what when where which while who whom whose why will with would you your yours
yourself yourselves ain't can't won't shan't cant didnt doesnt dont im ive thats whats
"""

_ES = """
a al algo algún alguna algunas alguno algunos ante antes aquel aquella aquellas aquello aquellos aquí así aun aún
aunque cada como cómo con contra cual cuál cuales cuáles cuando cuándo cuanto cuánto de del desde donde dónde durante
e el él ella ellas ello ellos en entre era eran eras eres es esa esas ese eso esos esta está estaba estaban estamos
están estar estas estás este esto estos estoy fue fueron ha había habían han has hasta hay he hemos la las le les lo
los más me mi mí mientras mis mucho muy nada ni no nos nosotras nosotros nuestra nuestras nuestro nuestros o os otra
otras otro otros para pero poco por porque pues que qué quien quién quienes quiénes se sea ser si sí sido sin sobre
sois somos son soy su sus también tan tanto te tiene tienen tengo ti tu tú tus tuve u un una unas uno unos usted
ustedes vosotros voy y ya yo
"""

_FR = """
à ai ainsi alors as au aucun aucune aussi autre autres aux avais avait avant avec avez avoir avons ayant c ça car ce
ceci cela celle celles celui ces cet cette ceux chaque chez comme comment d dans de depuis des donc dont du elle elles
en encore entre es est et étaient étais était étant été êtes être eu eux fait faut furent fut ici il ils j je l la là
le les leur leurs lors lui m ma mais me même mes moi mon n ne ni non nos notre nous on ont ou où par parce pas pendant
peu plus pour pourquoi puis qu quand que quel quelle quelles quels qui quoi s sa sans se sera serait ses si sien soit
sommes son sont sous suis sur t ta tandis te tes toi ton tous tout toute toutes très trop tu un une vos votre vous y
"""

_DE = """
ab aber alle allem allen aller alles als also am an ander andere anderen auch auf aus bei beim bin bis bist da dadurch
daher damit dann daran darauf das dass daß davon dazu dein deine deinem deinen deiner dem den denn der deren des
dessen dich die dies diese diesem diesen dieser dieses dir doch dort du durch ein eine einem einen einer eines er es
etwas euch euer eure für fur gegen gibt hab habe haben hast hat hatte hatten hier hinter ich ihm ihn ihnen ihr ihre
ihrem ihren ihrer im in indem ins ist ja jede jedem jeden jeder jedes jener jetzt kann kannst kein keine keinem keinen
keiner können konnte machen man manche mein meine meinem meinen meiner mich mir mit muss musste nach nicht nichts noch
nun nur ob oder ohne sehr sein seine seinem seinen seiner selbst sich sie sind so solche soll sollte sondern sonst
über um und uns unser unsere unserem unseren unserer unter viel vom von vor wann war waren warst warum was weil welche
welchem welchen welcher welches wem wen wenn wer werde werden weshalb wessen wie wieder wieso will wir wird wirst wo
woher wohin wollen wurde wurden zu zum zur zwar zwischen
"""

_IT = """
a abbia abbiamo ad agli ai al all alla alle allo anche ancora avere aveva avevano avevo c che chi ci cioè coi col come
con contro cosa così cui d da dagli dai dal dall dalla dalle dallo degli dei del dell della delle dello dentro di dopo
dove e è ecco ed era erano eravamo ero essere fa fatto fra gli ha hai hanno ho i il in io l la là le lei li lo loro
lui ma mai me mentre mi mia mie miei mio molto n ne negli nei nel nell nella nelle nello niente noi non nostra nostre
nostri nostro o ogni per perché perche però piu più poi prima qua qual quale quali quando quanta quanti quanto quella
quelle quelli quello questa queste questi questo qui s sarà se sei sempre senza si sì siamo siete sia siano solo sono
sopra sta stai stanno stata stati stato sto su sua subito sue sugli sui sul sull sulla sulle sullo suo suoi t ti tra
tu tua tue tuo tuoi tutta tutte tutti tutto un una uno v vi voi vostra vostre vostri vostro
"""

_PT = """
à ainda ao aos algo alguém algum alguma alguns ante antes aquela aquelas aquele aqueles aquilo aqui as às assim até
com como contra da dá das de dela delas dele deles depois desde dessa desse desta deste do dos e é ela elas ele eles
em entre era eram és essa essas esse esses esta está estamos estão estar estas estava estavam este estes estou eu
fazer foi fora foram fui há isso isto já la lhe lhes lo mais mas me mesma mesmo meu meus mim minha minhas muita muito
na não nas nem nenhum nessa nesse nesta neste no nos nós nossa nossas nosso nossos num numa o onde os ou outra outras
outro outros para pela pelas pelo pelos pois por porque porquê pra quais qual quando quanto que quê quem se seja sem
sempre ser será seu seus só sobre sou sua suas também tanto te tem têm temos tenho ter teu teus ti tinha tinham tive
toda todas todo todos tu tua tuas tudo um uma umas uns vai você vocês vos vou
"""

_NL = """
aan af al alle alleen alles als altijd andere ben bij daar daarom dan dat de der deze die dit doch doen door dus een
één eens en er ge geen geweest haar had hadden heb hebben hebt heeft hem het hier hij hoe hun iemand iets ik in is ja
je jij jou jouw jullie kan kon kunnen maar me meer men met mij mijn moet na naar niet niets nog nu of om omdat ondanks
ons onze ook op over reeds s t te tegen toch toen tot u uit uw van veel voor waar waarom wanneer want waren was wat we
welk welke werd wezen wie wij wil word worden wordt zal ze zei zelf zich zij zijn zo zonder zou
"""

_SV = """
aldrig alla allt än att av bara blev bli blir då där därför de dem den denna deras dess dessa det detta dig din dina
ditt dom du efter ej eller en er era ert ett från för genom ha hade han hans har henne hennes hon honom hur här i icke
igen in ingen inom inte ja jag kan kunde man med mellan men mig min mina mitt mot mycket ni nu när någon något några
och också om oss på sedan sig sin sina sitt själv ska skall skulle som så sådan sådana till under upp ut utan vad var
vara varför varit varje vart vem vems vi vid vilka vilken vilket vår våra vårt är åt över
"""

_DA = """
ad af aldrig alle alt altid anden at både blev blive bliver bare da de dem den denne der deres det dette dig din dine
dit dog du efter ej eller en end er et for fordi fra få får gør ham han hans har havde have hende hendes her hos hun
hvad hvem hver hvilken hvis hvor hvordan hvorfor hvornår i igen ikke ind ingen jeg jer jeres jo kan kunne man mange
med meget mellem men mig min mine mit mod ned nej noget nogen nogle nu når og også om op os over på sammen selv sig
sin sine sit skal skulle som sådan til ud uden under var vi vil ville vor vores være været
"""

_NO = """
alle alt altså andre at av bare begge ble blei bli blir blitt både da de deg dei dem den denne der dere deres det
dette din dine ditt du eller en enn er et ett etter for fordi fra få får før ha hadde han hans har henne hennes her
hos hun hva hvem hver hvilken hvilke hvis hvor hvordan hvorfor når i igjen ikke ingen ikkje inn ja jeg kan kunne man
mange med meg meget mellom men mer mi min mine mitt mot mye må ned nei noe noen nå og også om opp oss over på samme
seg selv si sin sine sitt skal skulle slik som så til under upp ut uten var vi vil ville vår våre vært være
"""

_FI = """
ei eikä eivät emme en et että ette hän häneen hänelle häneltä hänen hänet hänestä häntä he heidän heille heitä hyvin
ja jo joka jonka jos joskus jossa jota jotka kai kanssa kaikki keitä ketä koska kuin kuinka kuka kun kyllä me meidän
meillä meille meitä mihin mikä miksi millainen milloin milloinkaan minkä minua minulla minulle minun minut minä missä
mistä mitä mukaan mutta myös mä nämä ne niiden niin niitä nuo nyt ole olemme olen olet olette oli olin olisi olit
olivat olla ollut on ovat se sekä sen siellä siihen siinä siis sille sinua sinulla sinulle sinun sinut sinä sitten
sitä sä tai tämä tämän tässä tästä tätä te teidän teille teitä tuo tuon vai vain vaan vielä voi voin
"""

_PL = """
a aby ale albo ani aż bardzo bez bo być był była było były będą będzie będę chce ci cię co coś czy czyli dla dlaczego
do gdy gdzie go i ich ile im inny iż ja jak jaka jakie jaki jako je jednak jego jej jemu jest jestem jeszcze jeśli już
kiedy kto która które którego której który których którzy lub ma mam mają mi mnie mną mój moja moje może można mu my
na nad nam nas nasz nasza nasze nie niego niej nich nic nim niż o od on ona one oni ono oraz po pod ponieważ przed
przez przy są się skąd sobą sobie swoje swój ta tak także tam te tego tej ten to tobie tu tutaj twój twoja twoje ty
tych tylko tym u w was wasz we więc wszystko wy z za ze że żeby
"""

_RU = """
а без более бы был была были было быть в вам вас весь во вот все всё всего всех вы где да даже для до его ее её ей ему
если есть еще ещё же за здесь и из или им их к как какая какие какой когда кого кому которая которые который кто куда
ли лишь меня мне мной может мои мой моя моё мы на над надо нас наш наша наши не него нее неё ней нет ни ним них но ну
о об он она они оно от очень по под после потом потому почему при про с сам свой своей своего свою себе себя сейчас
сколько со так также такой там те тебе тебя тем то тогда того тоже той только том ты у уже чего чем что чтобы чье чья
эта эти это этого этой этом этот эту я
"""

_EL = """
αλλά αν από αυτά αυτές αυτή αυτό αυτοί αυτός για γιατί δε δεν εγώ εδώ είμαι είναι είσαι εκεί εμείς ένα έναν ένας εσείς
εσύ έχει έχεις έχω η ή ήμουν ήταν θα και κάτι με μέχρι μας μη μην μια μία μου μπορεί να ο οι όμως όπως όταν ότι όχι
πιο ποια ποιο ποιος πολύ πόσο πότε που πού πριν προς πρέπει πώς σας σε στα στη στην στις στο στον στους τα τη την της
τι τις το τον του τους των τώρα ως
"""

_AR = """
إلى أن إن أنا أنت أنتم أو أي أين إذا التي الذي الذين الى ان او اين بعد بين تلك ثم حتى خلال ذلك عن عند على في فيه قبل
قد كان كانت كل كم كما كيف لا لقد لكن لم لماذا لن ليس ما ماذا متى مع من منذ نحن هذا هذه هل هم هناك هنا هو هي و يا
"""


def normal_form(text: str) -> str:
    """``text`` as words are compared: Unicode NFKC, case folded."""
    if text.isascii():
        return text.lower()
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())


STOP_WORDS: dict[str, frozenset[str]] = {
    language: frozenset(normal_form(words).split())
    for language, words in {
        "en": _EN, "es": _ES, "fr": _FR, "de": _DE, "it": _IT, "pt": _PT, "nl": _NL, "sv": _SV, "da": _DA, "no": _NO,
        "fi": _FI, "pl": _PL, "ru": _RU, "el": _EL, "ar": _AR,
    }.items()
}  # fmt: skip
"""For each language its function words, in their normal form."""

_LOOKALIKES = """
ad ai al ale ante au bare ben bin bot c car ce chi co com come comment con d da dal dame dan das de del dell dem den
der des di die dig din dine do dog dom don door du e ecco ed el em en end er era et eu far fin fur go ham han hat hay
her hun i il im inn ins io j jo kai l la las le les li lo los m ma man mas men mes met mi mia mig min mine mit mot n
na ne ned no non nun o om on one ono op os over pan pendant per plus pod pour que reeds s sa san se sea sera si sin
sit sole solo son soy su sur t tai tan te ten ti till to ton tu u un una under une v van var vi via von w want war
word y ya yo z
"""
LOOKALIKES = frozenset(_LOOKALIKES.split())
"""Function words of other languages that are common in English text too, in names and loans (Los Angeles, Van Gogh)."""
