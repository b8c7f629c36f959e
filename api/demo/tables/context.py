"""What notes say besides the reason of the visit: when, how, the life around, the rest of the exam.

Not reviewed by a clinician. Guards as in :func:`releve.api.demo.tables.shapes.sayable`. Places and
families are invented; one note in three at the most names one.
"""

from __future__ import annotations

from releve.api.demo.tables.shapes import parts

WHEN = parts("""
depuis dimanche soir|depuis une dizaine de jours|par épisodes, surtout en fin de journée|plus net le matin
variable d'un jour à l'autre|depuis le retour du froid|depuis avant-hier|sans horaire particulier
inchangé par rapport au mois dernier|s'améliore lentement depuis une semaine|réapparu après deux mois tranquilles
[!examen_enfant !sport] surtout la deuxième partie de nuit|[+rgo] après chaque repas copieux|[+bpco] en montant la côte seulement|[+coeur] au moindre effort ces jours-ci
[6-17] surtout les jours d'école|[18-64 !alzheimer] davantage en semaine, rien pendant les congés|[3-] début brutal mercredi
début progressif, sans facteur déclenchant|premiers signes à la Toussaint|deux épisodes seulement, très brefs
pas plus gênant qu'à la visite précédente|évolution par à-coups|[!examen_enfant !sport !contraception] stationnaire malgré le repos|[+migraine] cède spontanément en vingt minutes
""")

BESIDE = parts("""
[16-] ballonnements vespéraux|[20-] lombes enraidies au réveil|[16-] hypersudation nocturne niée|[45-] bouffées vasomotrices rares
[16-] palpitations démenties|[12-] étourdissements brefs au réveil|salivation ordinaire|[16-] éternuements matinaux
[!gastro !grippe] appétit conservé|mange moins depuis lundi|dort mal, se réveille tôt|[!insomnie !depression !fibromyalgie] sommeil réparateur|[!colon] pas de perte de poids
[!gastro !colon_irritable !diverticules !douleur_abdo] transit régulier|[!gastro] selles dures|[!rein !gastro] boit suffisamment|soif inhabituelle le soir|[!grippe !angine !otite !pneumopathie !rhino !erysipele] pas de fièvre mesurée|[!grippe !angine !otite !pneumopathie !rhino] frissons hier sans fièvre
[30-] nycturie deux fois|[!cystite] urines claires|[!cystite] pas de brûlure mictionnelle|[!bronchite !rhino !grippe !pneumopathie !bpco !sinusite] pas de toux|[!bronchite !bpco] toux sèche en soirée|[!rhino !sinusite !pollens] nez pris
aucune douleur thoracique|pas d'essoufflement au repos|[16-] crampes nocturnes|fourmillements intermittents des doigts
démangeaisons des avant-bras|bouche sèche|[12-] céphalées en casque résolutives|[!glaucome !oeil] pas de trouble visuel|acouphènes anciens
[60-] équilibre précaire en terrain irrégulier|[60-] aucune chute récente|[65-] trébuche sur les tapis
mains froides|transpire la nuit sans changer de pyjama|[!depression !anxiete] moral stable|[14-] irritable depuis quelques semaines
[14-] se dit fatigué{e} en fin de semaine|[!fatigue] se sent plutôt mieux|[16-] n'a rien changé à ses habitudes|éructations après le dîner
[16- !alzheimer] observance déclarée correcte|[@paracetamol] paracétamol pris deux fois hier|[18-] automédication niée
[-6] biberons ou repas terminés|[-6] sieste raccourcie|[2-12] joue normalement|[3-17] a manqué une journée de classe
[!gastro] vomissements absents|haleine normale selon l'entourage|[!otite] oreilles indolores|douleur cotée à trois sur dix|douleur cotée à cinq sur dix la nuit
""")

BACKGROUND = parts("""
[18-] arthroscopie du genou autrefois|[16-] mononucléose à l'adolescence|[18-] phlébite jamais rapportée|[40-] calculs urinaires anciens
[18-] rougeole dans l'enfance|[30-] otites répétées jadis|[50-] polypectomie en 2020, bénigne
[16-] brûlure ancienne cicatrisée|[35-] tunnel carpien opéré|[-16] bronchiolite du nourrisson|[-16] varicelle passée|[25-] paludisme contracté outre-mer, guéri
[20-] fracture ancienne du poignet, consolidée|[25-] appendicectomie dans l'enfance|[18-] vaccination antitétanique récente
[40-] père hypertendu|[40-] mère opérée de la cataracte|pas d'hospitalisation cette année|[16-] hospitalisation brève au printemps, sans suite
[30-] accident de tracteur il y a dix ans, sans séquelle|[20-] amygdales retirées|[60-] cataracte opérée à droite
[30- f] deux accouchements sans complication|[50- f] ménopause sans traitement|[45- m] hernie inguinale opérée jadis
[-16] né{e} à terme, sans incident|[-16] carnet de vaccination vérifié|[-12] courbes suivies dans le carnet
aucun voyage récent|[20-60] contage familial possible|pas de contage connu|[40-] dentiste vu en septembre
[50-] dépistage colorectal fait|[16-] groupe sanguin sur carte|[18-] don du sang régulier autrefois
[65-] audioprothèse refusée l'an passé|[40-] lunettes changées en juin|[12-] allergie alimentaire recherchée, rien
[18-] aucune consommation de stupéfiants rapportée|[30-] douleur comparable en 2019, résolue seule
[25-] kinésithérapie suivie autrefois|[55-] ostéodensitométrie discutée naguère|[16-] bilan hépatique antérieur normal
""")

EXAM = parts("""
[16-] hippocratisme absent|[16-] pas de turgescence jugulaire|[12-] manœuvre de Mingazzini tenue|[50-] arc sénile banal
percussion sonore des deux champs|[16-] pas d'angiome stellaire|[16-] Romberg stable|sclérotiques blanches|[18-] réflexe rotulien vif des deux côtés
[16-] orifices herniaires libres|[3-] adénopathie isolée, mobile|[40-] craquements scapulaires sans limitation
conscience claire|[!anemie] coloration normale|[!anemie] pas de pâleur|[!anemie !oeil] conjonctives rosées|langue humide|pas de déshydratation
auscultation cardiaque sans bruit surajouté|[!pneumopathie !bpco] murmure vésiculaire symétrique|[!douleur_abdo] abdomen dépressible|pas d'hépatomégalie
aires ganglionnaires cervicales vides|[!erysipele] mollets indolores|[!coeur !veines] pas d'œdème des membres inférieurs|réflexes ostéotendineux symétriques
pupilles réactives|[3- !angine !rhino !grippe] gorge propre|[!otite] tympans bien vus|[!zona !eczema !psoriasis !impetigo !erysipele] peau sans lésion évocatrice|[!zona !eczema !psoriasis !impetigo] pas d'éruption|téguments chauds
[5-] marche sur les talons possible|[16-] relever du fauteuil sans appui|[60-] appui monopodal de quatre secondes
mobilité cervicale complète|[!lumbago !lombalgie] rachis souple|[20-] cicatrices chirurgicales anciennes calmes|[!parkinson] pas de raideur méningée
[12-] palpation thyroïdienne homogène|extrémités bien perfusées|temps de recoloration inférieur à trois secondes
[16-] examen neurologique sommaire rassurant|[5- !alzheimer] discours cohérent|[!depression] contact facile|[70-] dentition fragile
[16-] tension reprise debout, sans chute|carotides sans souffle|bandelette urinaire négative|[!grippe !angine] température 36,8
température 37,4|[16-] ongles striés|[-3] tonus axial satisfaisant|[-10] enfant éveillé{e}, coopérant{e}
respiration calme|fosses lombaires libres|pas de douleur provoquée à la percussion|[16-] varicosités discrètes
""")

SOCIAL = parts("""
[18-] covoiturage avec une collègue|[16-] pratique l'aquagym|[18-] chorale paroissiale le vendredi|[50-] verger à entretenir
[18-] apiculture en amateur|[18-] brocante presque chaque dimanche|[60-] pétanque avec d'anciens collègues|[30-] menuiserie le soir
[20-64 !alzheimer] intérim en logistique|[20-64 !alzheimer] formation professionnelle en visioconférence|[65-] résidence autonomie envisagée
[-12] périscolaire jusqu'à dix-huit heures|[-16] judo deux fois par semaine|[70-] monte-escalier en attente de devis|[18-] chauffage défectueux signalé au bailleur
[18-] vit en couple|[25-] vit seul{e} depuis plusieurs années|[30-64 !alzheimer] horaires décalés ce trimestre
[18-64 !alzheimer] en arrêt jusqu'à vendredi|[18-64 !alzheimer] recherche un emploi plus proche|[20-64 !alzheimer] travaux de la maison en cours
[65-] portage des repas trois fois par semaine|[75-] téléalarme au poignet|[70-] aide ménagère le mardi et le jeudi
[60-] ne conduit plus la nuit|[55- !alzheimer] garde les petits-enfants le mercredi|[25-60] deux enfants scolarisés
[-16] parents séparés, résidence alternée|[-16] accompagné{e} par sa mère|[-16] accompagné{e} par son grand-père
[-16] aîné{e} d'une fratrie de trois|[3-17] cantine et garderie le soir|[18-30] étudiant{e}, rentre le week-end
[20- !alzheimer] jardine beaucoup|[16- !alzheimer] club de randonnée|[30- !alzheimer] bénévole à la bibliothèque
[30-] logement chauffé au bois|[18-] difficultés de transport|[18-] mutuelle en cours de changement|[40-] s'occupe de sa mère dépendante
[50-] veuvage récent|[65-] la fille gère les papiers|[65-] le fils téléphone chaque soir|[60-] infirmière à domicile le matin
[70-] escalier raide, chambre à l'étage|[18-] connexion internet médiocre|[16-] transport scolaire ou covoiturage
[20-70 !alzheimer] saison chargée à l'exploitation|[25-] voisinage attentif|[18-] carte de transport demandée
[70-] sort moins depuis l'hiver|[65-] loto du jeudi maintenu|[18-] animaux à nourrir, refuse de s'absenter
[45-] bricole au garage|[40-64 !alzheimer] astreintes de nuit pénibles|[18-] alimentation faite maison
""")

SOCIAL_NAMED = parts("""
[18-] habite {village}|[18-] a déménagé à {village} cet été|[20-65 !alzheimer] travaille à {village}
[60-] la voisine, Mme {family}, passe le soir|[60-] M. {family}, voisin, a les clés|[18-] conduit{e} par M. {family}
[-17] vu{e} autrefois par le Dr {family}, pédiatre|[-17] kermesse de {village} dimanche|[-4] nourrice : Mme {family}, à {village}|[6-17] scolarisé{e} à {village}|[55-] sa sœur, Mme {family}, vit à {village}
[18-] marché de {village} le samedi|[70-] aide-soignante : Mme {family}|[40-] vu{e} autrefois par le Dr {family}, à {village}
[18-] séances d'orthoptie chez Mme {family}|[30-] kinésithérapeute : M. {family}, à {village}|[65-] taxi {family} pour les trajets
[-11] la grand-mère, Mme {family}, garde l'enfant|[18-] pharmacie de {village}
""")
"""The same with a place or a family in it."""

NEXT = parts("""
revoir dans trois semaines|prochain point au printemps|rappeler si pas d'amélioration jeudi|consultation avancée en cas d'aggravation
surveillance simple|surveillance de la température|fiche d'information remise|consignes relues ensemble
[16-] ordonnance expliquée ligne par ligne|[16-] courrier adressé au spécialiste|[18-64 !alzheimer] certificat remis
[16-] vaccination antigrippale proposée|[16-] repos relatif|[12-] hydratation encouragée|[12-] activité physique progressive
[60-] prévention des chutes abordée|[60-] pilulier préparé avec la pharmacie|[65-] aide à domicile à réévaluer
[18-] dépistages rappelés|[16-] alimentation variée conseillée|[-16] parents informés des signes d'alerte|[-16] carnet complété
[-16] contrôle du poids au prochain passage|arrêt des remèdes sans ordonnance|numéro du centre redonné
[16-] téléconsultation possible entre-temps|[16-] renouveler seulement si bénéfice|[!bio] pas d'examen complémentaire aujourd'hui
[16-] imagerie différée|[16- !bio] biologie seulement si persistance|[40-] mesure à domicile avant de revenir
""")

VILLAGES = (
    "Aubevigne", "Auriolles-le-Bas", "Barbezange", "Bessonnac", "Boisrebert", "Bourgneuil",
    "Brassempière", "Brévonne", "Cazalrieu", "Chabriac", "Chambourleau", "Champsivert",
    "Chantemesle", "Chassignelle-le-Vieux", "Clairfontès", "Clavarges", "Combelongue",
    "Courpalou-le-Bois", "Coutansou", "Crémoulins", "Dampvitou", "Escazeaux", "Espirac",
    "Fontbressane", "Fontenoube", "Fraissinoux", "Gandavel", "Gourdiaux", "Grandruffe",
    "Grimaudières", "Hautefeuillade", "Jarnouves-les-Prés", "Jonquerac", "Labastidelle",
    "Lamongerie", "Lanterolles", "Laubrecourt", "Lavaudoire", "Lescurolles", "Liourdras",
    "Malpertuis", "Marcillargues", "Maurevert", "Mazeirolles", "Meyrolonne", "Montauriol-Sec",
    "Montferroux", "Mouressac", "Naucellière", "Neuvialle", "Orcevaux", "Paulhiaguet",
    "Peyrelade", "Pierrebuffe", "Pontarède", "Pradelongue", "Puymarel", "Queyrières",
    "Ravaillon", "Rocheservine", "Roquebelle-Basse", "Roumarèze", "Rouvenac", "Sabadière",
    "Saint-Aubrin", "Saint-Cirvan-le-Noir", "Sainte-Valière", "Salvadièges", "Sarvizac-le-Neuf",
    "Serverolles", "Taillevernay", "Thivernas", "Tournavaux", "Valcivoux", "Vaubrelle",
    "Verdelounes", "Vignemont", "Villaronde",
)  # fmt: skip
