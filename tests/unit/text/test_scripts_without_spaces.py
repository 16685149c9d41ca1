"""Scripts without spaces between words (Chinese, Japanese, Thai): lengths, repeats, evaluation sets, rewrites."""

from __future__ import annotations

import unicodedata
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rankrefine.config import load as configuration
from rankrefine.seeds.filters import filters
from rankrefine.text.duplicates import Contamination, KnownSentences, NearDuplicates
from rankrefine.text.rewrite_rules import Limits, problem
from rankrefine.text.words import length, ngrams, words

CHINESE = [
    "她每天早上六点起床，先喝一杯热水再去公园跑步。",
    "这家餐厅的牛肉面很有名，周末总要排很长的队。",
    "昨天晚上的大雨让地铁站的入口积满了水。",
    "老师说下个星期的数学考试会比上次难一些。",
    "为了赶上最后一班火车，他们一路跑到了车站。",
    "我弟弟在一家软件公司上班，经常加班到深夜。",
    "医生建议他少吃甜食，并且每天散步半个小时。",
    "图书馆三楼新开了一间安静的自习室。",
    "公司决定从明年开始允许员工每周在家工作两天。",
    "小猫躲在沙发下面，无论怎么叫都不肯出来。",
    "这座石桥建于三百年前，至今仍然可以通行。",
    "如果明天不下雨，我们就带孩子去动物园。",
    "邻居家的狗一听到门铃声就开始大声叫。",
    "科学家在南极的冰层下面发现了一个巨大的湖。",
    "他把旧手机卖掉，用那笔钱买了一本词典。",
]
JAPANESE = [
    "彼女は毎朝六時に起きて、公園の周りを三十分ほど走っている。",
    "この店のラーメンは有名で、昼どきにはいつも長い列ができる。",
    "昨夜の大雨で駅前の道路が水に浸かってしまった。",
    "来週の数学の試験は前回より難しくなるそうだ。",
    "終電に間に合うように、私たちは駅まで全力で走った。",
    "弟は東京のソフトウェア会社に勤めていて、帰りがいつも遅い。",
    "医者は父に甘い物を控えて毎日歩くように勧めた。",
    "図書館の三階に静かな自習室が新しくできました。",
    "会社は来年から週に二日の在宅勤務を認めることにした。",
    "子猫はソファの下に隠れたまま、呼んでも出てこない。",
    "この石の橋は三百年前に造られ、今でも渡ることができる。",
    "明日晴れたら、子どもたちを動物園に連れて行くつもりです。",
    "隣の家の犬は玄関のベルが鳴るたびに大きな声で吠える。",
    "研究者たちは南極の氷の下に巨大な湖を発見した。",
    "古い携帯電話を売ったお金で、彼は厚い辞書を買った。",
]
THAI = [
    "เธอตื่นนอนตอนหกโมงเช้าทุกวันแล้วไปวิ่งที่สวนสาธารณะใกล้บ้าน",
    "ร้านก๋วยเตี๋ยวร้านนี้มีชื่อเสียงมากจนต้องต่อคิวยาวทุกเที่ยง",
    "ฝนที่ตกหนักเมื่อคืนทำให้ถนนหน้าสถานีรถไฟมีน้ำท่วมขัง",
    "อาจารย์บอกว่าข้อสอบคณิตศาสตร์สัปดาห์หน้าจะยากกว่าครั้งก่อน",
    "พวกเขาวิ่งไปที่สถานีเพื่อขึ้นรถไฟขบวนสุดท้ายให้ทัน",
    "น้องชายของฉันทำงานในบริษัทซอฟต์แวร์และกลับบ้านดึกเสมอ",
    "หมอแนะนำให้พ่อลดของหวานและเดินออกกำลังกายวันละครึ่งชั่วโมง",
    "ห้องสมุดเปิดห้องอ่านหนังสือเงียบใหม่ที่ชั้นสาม",
    "บริษัทอนุญาตให้พนักงานทำงานจากบ้านสัปดาห์ละสองวันตั้งแต่ปีหน้า",
    "ลูกแมวซ่อนตัวอยู่ใต้โซฟาและไม่ยอมออกมาแม้จะเรียกหลายครั้ง",
    "สะพานหินแห่งนี้สร้างขึ้นเมื่อสามร้อยปีก่อนและยังใช้ข้ามได้",
    "ถ้าพรุ่งนี้อากาศดีเราจะพาเด็กไปเที่ยวสวนสัตว์",
    "หมาของเพื่อนบ้านเห่าเสียงดังทุกครั้งที่ได้ยินเสียงกริ่ง",
    "นักวิทยาศาสตร์ค้นพบทะเลสาบขนาดใหญ่ใต้แผ่นน้ำแข็งขั้วโลกใต้",
    "เขาขายโทรศัพท์เครื่องเก่าแล้วนำเงินไปซื้อพจนานุกรมเล่มหนา",
]
LANGUAGES = {"Chinese": CHINESE, "Japanese": JAPANESE, "Thai": THAI}
NEAR_COPIES = [
    ("她每天早上六点起床，先喝一杯热水再去公园跑步。", "他每天早上六点起床, 先喝一杯热水，再去公园跑步！"),
    (
        "昨夜の大雨で駅前の道路が水に浸かってしまった。",
        "昨夜の大雨で、駅前の道路が水に浸かってしまいました。",
    ),
    (
        "ถ้าพรุ่งนี้อากาศดีเราจะพาเด็กไปเที่ยวสวนสัตว์",
        "ถ้าพรุ่งนี้อากาศดี เราจะพาเด็กไปเที่ยวสวนสนุก",
    ),
    (
        "新しいiPhoneのカメラはPixelより暗い場所に強い。",
        "新しいiPhoneのカメラは、Pixelより暗い場所に弱い。",
    ),
]


@pytest.fixture(params=LANGUAGES.values(), ids=LANGUAGES.keys())
def sentences(request) -> list[str]:
    return request.param


# --- words


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("今天，天气好。", ["今", "天", "天", "气", "好"]),
        ("コーヒー２杯", ["コ", "ー", "ヒ", "ー", "２", "杯"]),
        ("「Don’t panic」とAIが言う", ["don't", "panic", "と", "ai", "が", "言", "う"]),
        ("ที่นี่ ๒๕๖๗", ["ที่", "นี่", "๒๕๖๗"]),  # letters with their marks; a number stays whole
        ("ຂ້ອຍໄປ", ["ຂ້", "ອ", "ຍ", "ໄ", "ປ"]),
        ("ខ្ញុំទៅ", ["ខ្", "ញុំ", "ទៅ"]),
        ("ကျွန်တော်", ["ကျွ", "န်", "တော်"]),
        ("𠮷野家", ["𠮷", "野", "家"]),  # a letter beyond 16 bits
    ],
)
def test_each_letter_of_a_script_without_spaces_is_a_word(text: str, expected: list[str]) -> None:
    assert words(text) == expected


@given(st.text("aZé_'’-—.! \n\u030109٣한국어हिन्दीđượcعربيРус"))
def test_text_with_spaces_is_cut_and_measured_as_without_these_scripts(text: str) -> None:
    """English, Korean, Hindi, Vietnamese, Arabic, Russian."""
    tokens = _runs(text)
    assert words(text) == tokens
    assert length(text) == len(text.split())
    for n in (1, 2, 4):
        assert ngrams(tokens, n) == {" ".join(tokens[start : start + n]) for start in range(len(tokens) - n + 1)}


def _runs(text: str) -> list[str]:
    folded = text.casefold().replace("’", "'")
    parts = (c if c.isalnum() or c in "_'" or unicodedata.category(c)[0] == "M" else " " for c in folded)
    return [word for run in "".join(parts).split() if (word := run.strip("'"))]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("我们明天去看电影。", 8 / 1.5),
        ("彼は Tokyo へ行く。", 5 / 1.5 + 1),
        ("GoogleでAIを使う", 4 / 1.5 + 2),
        ("ไปโรงเรียน", 9 / 3),
        ("ខ្ញុំទៅ", 3 / 2),
        ("- an em-dash – and more -", 7),
    ],
)
def test_length_counts_letters_as_parts_of_words(text: str, expected: float) -> None:
    assert length(text) == pytest.approx(expected)


def test_the_default_lengths_fit_ordinary_sentences(sentences: list[str]) -> None:
    section = configuration.complete({"seeds": {"require_pattern": "", "exclude_pattern": ""}})["seeds"]
    assert not [text for text in sentences if any(drops(text) for drops in filters(section).values())]
    one_word, story = sentences[0][:4], "".join(sentences[:3])
    assert filters(section)["too short"](one_word)
    assert filters(section)["too long"](story)


# --- repeats and evaluation sets, with the default settings

SEEDS = configuration.complete({})["seeds"]


def _near_duplicates(sentences: list[str]) -> set[int]:
    near = NearDuplicates(SEEDS["near_duplicate_threshold"], len(sentences))
    for sentence in sentences:
        near.add(words(sentence))
    return near.repeated(lambda number: words(sentences[number]))


def _reasons(sentences: list[str], evaluation: list[str]) -> list[str | None]:
    known = KnownSentences(Contamination(evaluation, SEEDS["overlap_ngram"], SEEDS["overlap_limit"]))
    return [known.reason(words(sentence)) for sentence in sentences]


def test_near_copies_are_found_and_other_sentences_are_not(sentences: list[str]) -> None:
    assert not _near_duplicates(sentences)
    copies = [sentence[:-3] for sentence in sentences]
    assert _near_duplicates([*sentences, *copies]) == set(range(len(sentences), 2 * len(sentences)))


@pytest.mark.parametrize(("sentence", "copy"), NEAR_COPIES)
def test_rephrased_sentences_are_near_copies(sentence: str, copy: str) -> None:
    assert _near_duplicates([sentence, copy]) == {1}


def test_copies_of_evaluation_sentences_are_dropped(sentences: list[str]) -> None:
    half = len(sentences) // 2
    assert _reasons(sentences, sentences[:half]) == ["in an evaluation set"] * half + [None] * (len(sentences) - half)
    # in the middle of other text, as a paragraph of the evaluation set has it
    around = [sentences[-1] + sentence[2:] + sentences[-2] for sentence in sentences[:half]]
    expected = ["overlaps an evaluation set"] * half + [None] * (len(sentences) - half - 2)
    assert _reasons(sentences[:-2], around) == expected


# --- rewrites


def test_rewrites_are_compared_and_measured(sentences: list[str]) -> None:
    limits = Limits(max_overlap=0.5, min_words=5, max_words=24)
    for seed, other in pairwise(sentences):
        assert problem(other, [seed], limits) is None
        assert problem(seed[:-2] + "。", [seed], limits) == "too similar"
        assert problem(seed + "！", [seed], limits) == "repeat"
        assert problem(other[:4], [seed], limits) == "too short"
