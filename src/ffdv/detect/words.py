"""Everything that a verdict says in sentences, in English and Chinese, for readers who know nothing of nets.

Codes travel, sentences are made here: `say(code, lang, **values)`. What comes from a file's reading or from a sense in
its own words (notes, reasons for being absent, what is unlike training) has its Chinese in ffdv/chinese.py.
"""

from __future__ import annotations

from collections.abc import Mapping

from ffdv.detect.senses import SenseAbsent, SenseOpinion
from ffdv.detect.verdict import Verdict
from ffdv.metrics.abstention import AbstentionBand
from ffdv.records import Note
from ffdv.sentences import LANGUAGES, STOPS, Lang, worded

# Notes that tell no more than the absence of a sense does.
PLAINLY_ABSENT = {"the file has no sound track", "the file has no moving picture"}
COLONS: Mapping[Lang, str] = {"en": ": ", "zh": "："}
COMMAS: Mapping[Lang, str] = {"en": ", ", "zh": "，"}

# code → (English, Chinese); {names} are filled by say().
WORDS: Mapping[str, tuple[str, str]] = {
    # the verdict
    "fake": ("Probably fake", "疑似伪造"),
    "real": ("No sign of forgery found", "未发现伪造迹象"),
    "cannot tell": ("Cannot tell", "无法判断"),
    "word_fake": ("probably fake", "疑似伪造"),
    "word_real": ("no sign found", "未发现伪造迹象"),
    "word_cannot tell": ("cannot tell", "无法判断"),
    "voice": ("voice", "声音"),
    "picture": ("picture", "画面"),
    "agreement": ("lip mismatch", "声画不一致"),
    # what sentences on a sense call it: the column of percentages is named by what it finds
    "voice_name": ("voice", "声音"),
    "picture_name": ("picture", "画面"),
    "agreement_name": ("match of lips and sound", "声画一致性"),
    "voice_asks": ("Does the voice sound synthetic?", "声音像合成的吗？"),
    "picture_asks": ("Does the face look manipulated?", "人脸像被改动过吗？"),
    "agreement_asks": ("Do lips and speech fail to match?", "口型与语音不相配吗？"),
    # reasons
    "nothing_judged": (
        "Nothing in this file could be judged: it shows no face that can be followed and holds no speech that can be heard.",
        "文件中没有可判断的内容：既没有可跟踪的人脸，也没有可分析的语音。",
    ),
    "too_short": (
        "There are only {seconds:.1f} s of material that can be judged; {needed:.0f} s are needed.",
        "可判断的内容只有 {seconds:.1f} 秒，至少需要 {needed:.0f} 秒。",
    ),
    "undecided": (
        "The score lies where real and forged clips both occur, so either answer would be a guess.",
        "得分落在真实与伪造都可能出现的区间，给出任何一种结论都等于猜测。",
    ),
    "senses_disagree": (
        "The senses disagree: one suspects a forgery, another finds none, and together they are not sure enough.",
        "各项判断不一致：一项怀疑伪造，另一项没有发现，综合起来不足以下结论。",
    ),
    "sense_suspects": ("The {sense} seems forged rather than not ({p}).", "{sense}更像是伪造的（{p}）。"),
    "sense_open": ("The {sense} could be either ({p}).", "{sense}两种可能都有（{p}）。"),
    "sense_clear": ("The {sense} shows no clear sign of forgery ({p}).", "{sense}没有明显的伪造迹象（{p}）。"),
    "sense_clear_in_part": (
        "On the whole the {sense} shows no clear sign of forgery ({p}), but there are seconds in which it does.",
        "{sense}整体上没有明显的伪造迹象（{p}），但部分时间段可疑。",
    ),
    "sense_suspects_agreement": (
        "Lips and speech seem not to belong together ({p}); so it is as well when the person heard is not the one in sight.",
        "口型与语音似乎不相配（{p}）；说话的人不在画面中时（例如旁白）也会如此。",
    ),
    "sense_clear_in_part_agreement": (
        "On the whole lips and speech show no clear mismatch ({p}), but there are seconds in which they do.",
        "口型与语音整体上没有明显的不相配（{p}），但部分时间段可疑。",
    ),
    "sense_open_agreement": (
        "Lips and speech may or may not belong together ({p}).",
        "口型与语音可能相配，也可能不相配（{p}）。",
    ),
    "sense_clear_agreement": ("Lips and speech show no clear mismatch ({p}).", "口型与语音没有明显的不相配（{p}）。"),
    "outside": (
        "This clip is unlike the clips that the detector was trained on ({sense}): {text}.",
        "该片段与检测器的训练材料不同（{sense}）：{text}。",
    ),
    "sign": ("A trait that is rare in genuine clips ({sense}): {text}.", "真实片段中少见的特征（{sense}）：{text}。"),
    "ground": ("What raised the score ({sense}): {text}.", "抬高得分的因素（{sense}）：{text}。"),
    "nothing_judged_no_weights": (
        "Nothing in this file was judged: a sense of the detector that might have judged it lacks its weights.",
        "文件中没有内容得到判断：检测器中可能作出判断的一项缺少权重。",
    ),
    "absent": ("The {sense} was not judged.", "未判断{sense}。"),
    "note_label": ("note: ", "注意："),
    "fusion_name": ("measured weighing of the senses", "各项的综合权重"),
    "part_unusable": (
        "all scores lack the {part} and are others without it: {reason}",
        "所有得分都缺少{part}，因此与正常得分不同：{reason}",
    ),
    "error_label": ("error: ", "错误："),
    "more_clips": ("… and {count} more; --out FOLDER lists them all", "……另有 {count} 段；--out 文件夹 会列出全部"),
    "more_clips_listed": ("… and {count} more; index.html lists them all", "……另有 {count} 段；index.html 列出全部"),
    "looked_in_part": (
        "of {count} of these clips only a part was looked at ({names})",
        "其中 {count} 个片段只检查了一部分（{names}）",
    ),
    "stopped": ("stopped; nothing was kept", "已停止；没有保留任何结果"),
    "stopped_resumes": (
        "stopped; what is done is kept, and the same command goes on from there",
        "已停止；已完成的结果均已保留，再次运行同一命令即可继续",
    ),
    # how sure, and thresholds
    "how_sure": (
        "The detector gives {p} that the clip is forged in any way, among clips half of which are; where forgeries are rarer, it is less likely. It says fake above {high}, and that it found no sign below {low}.",
        "检测器认为该片段被伪造（无论何种方式）的可能性为 {p}，前提是所查片段中有一半是伪造的；伪造较少时，可能性更低。高于 {high} 判为伪造，低于 {low} 判为未发现伪造迹象。",
    ),
    "sure_heading": ("How sure", "把握有多大"),
    "looked_line": (
        "{sound:.1f} s of sound, {picture:.1f} s of picture, {frames} frames ({shown} with a face), faces followed: {faces}",
        "声音 {sound:.1f} 秒，画面 {picture:.1f} 秒，{frames} 帧（其中 {shown} 帧有人脸），跟踪 {faces} 张人脸",
    ),
    "threshold": (
        "Of real clips like those it was tested on, at most {rate} is called fake (from {count} independent sources).",
        "在与测试材料相似的真实片段中，最多{rate}会被误判为伪造（在 {count} 个独立来源上测得）。",
    ),
    "threshold_missed": (
        "Of forged clips like those it was tested on, up to {rate} is passed like this one (from {count} independent sources); of methods that it does not know, and of swapped faces, many more.",
        "在与测试材料相似的伪造片段中，最多{rate}会像本片段这样被放过（在 {count} 个独立来源上测得）；对于未见过的伪造方法和换脸，漏判要多得多。",
    ),
    "asked_more": (
        "These limits are stricter than usual ({high} and {low}): the clip is unlike the clips that the detector was trained on, or not every sense could judge it.",
        "以上界线比通常（{high} 和 {low}）更严：该片段与训练材料不同，或者并非各项都能判断。",
    ),
    "often_undecided": (
        "This is not rare: of development clips with these senses, {share} ended without an answer.",
        "这并不少见：由这几项判断的开发片段中有 {share} 没有得出结论。",
    ),
    "threshold_unmeasured": (
        "This threshold has not been measured yet; take it as a rough line.",
        "该阈值尚未经过测量，只能作为粗略界线。",
    ),
    "no_probability": ("No probability is given: no sense could judge.", "没有给出概率：没有任何一项可供判断。"),
    "limits": (
        (
            "What this can and cannot show. The numbers come from statistical models that learned from a limited collection of real "
            "and forged clips. They say how much this clip resembles those forgeries; they prove nothing about a person, an event or "
            "what was said. New methods of forgery, strong compression, music, noise, filters and face editing that is not meant to "
            "deceive can raise or lower a score. Swapped faces are hardly noticed, and voices of the newest generators often are not. “No sign of forgery found” does not mean genuine. A clip whose sound and "
            "picture are genuine can still be misleading by its cut or its caption. Do not publish an accusation on this page alone: "
            "look at the seconds that it points to, find the source, and ask a person who knows."
        ),
        (
            "本结果能说明什么、不能说明什么。数字来自统计模型，这些模型只从有限的真实与伪造片段中学习。它们表示该片段与那些伪造品有多相似，"
            "并不能证明某个人、某件事或某句话的真假。新的伪造方法、高度压缩、音乐、噪声、滤镜以及并非为了欺骗的美颜都可能使得分升高或降低。换脸很难被发现，最新合成器生成的声音也常常不能被发现。"
            "“未发现伪造迹象”并不等于真实；声音和画面都真实的片段，也可能因剪辑或说明文字而误导人。"
            "请不要仅凭本页面公开指控他人：请亲自查看所指出的时间段，寻找原始来源，并请教专业人士。"
        ),
    ),
    # page headings and labels
    "title": ("Forgery check of {name}", "{name} 的伪造检测"),
    "overall": ("Overall", "总体"),
    "probability_short": ("probability of forgery", "伪造概率"),
    "why": ("Why", "依据"),
    "when": ("When", "时间"),
    "not_judged": ("not judged", "未判断"),
    "player": ("Clip", "片段"),
    "player_missing": (
        "The clip cannot be played here: it is no longer where it lay when it was scanned, or this browser does not know its format. The timeline works all the same.",
        "此处无法播放该片段：它已不在扫描时的位置，或浏览器不支持其格式。时间轴仍可使用。",
    ),
    "timeline": ("Second by second", "逐秒结果"),
    "timeline_help": (
        "Each lane is one sense; a taller bar is a more suspicious second, from 0 at the bottom to 100 % at the top, and the dashed line is 50 %. Orange leans to forged, blue to real, violet to neither. Hatched: not judged. Click, or use the arrow keys, to jump there.",
        "每一行是一项判断；柱越高，该秒越可疑：底部为 0，顶部为 100 %，虚线为 50 %。橙色偏向伪造，蓝色偏向真实，紫色两可。斜线：未判断。点击或用方向键可跳转。",
    ),
    "spectrogram": ("Sound: pitch from low (bottom) to high (top)", "声音的频率：自下而上由低到高"),
    "spectrogram_overlay": (
        "yellow: where the voice model looked; it need not be where a forgery is",
        "黄色：声音模型关注的位置，不一定就是伪造之处",
    ),
    "strip": ("The leading face", "主要人脸"),
    "strip_decides": ("The face that the picture is judged by", "画面判断所依据的人脸"),
    "suspects": ("The face at its most suspicious moments", "人脸最可疑的时刻"),
    "suspects_calm": ("The face at its highest scores", "人脸得分最高的时刻"),
    "suspects_help": (
        "Yellow marks where the picture model looked. It need not be where a forgery is.",
        "黄色表示画面模型关注的位置，不一定就是伪造之处。",
    ),
    "ranges": ("Seconds worth a look", "值得查看的时间段"),
    "no_ranges": ("No second stands out.", "没有特别可疑的时间段。"),
    "no_seconds": ("No second could be judged.", "没有任何时间段可供判断。"),
    "traits": ("What the picture's score is made of", "画面得分的构成"),
    "traits_help": (
        (
            "How far each trait speaks for a forgery; an average clip has about 0. Nine of ten real development clips lie below the limit, "
            "so one trait beyond it is common."
        ),
        "各特征偏向伪造的程度，普通片段约为 0。十段真实开发片段中有九段低于右列界限，因此单项超出并不少见。",
    ),
    "trait": ("trait, the heaviest first", "特征（按权重排列）"),
    "trait_limit": ("real clips' limit", "真实片段界限"),
    "trait_beyond": ("beyond it", "超出"),
    "trait_within": ("within", "未超出"),
    "trait_unknown": ("not measured", "未测量"),
    "trait_surface": (
        "contrast of skin and mouth, as in portraits that generators start from",
        "皮肤与嘴部的对比度（生成器常用的人像偏高）",
    ),
    "trait_motion": (
        "head and chest glide, without the unevenness of filmed ones",
        "头部与胸部的运动过于平滑，缺少拍摄时的细微起伏",
    ),
    "trait_stillness": ("what lies around the face hardly changes with it", "脸部变化时周围几乎不动"),
    "trait_unison": ("forehead, cheeks and nose change colour at the same moments", "额头、脸颊与鼻子同时变色"),
    "trait_pasted": (
        "a part of the face looks pasted in or redrawn, to a network",
        "网络认为脸的某部分像是贴入或重绘的",
    ),
    "cues": ("Measured details", "测量细节"),
    "cues_help": (
        (
            "Single measurements, each beside what nine of ten real development clips show (band). None of them is proof. A cue marked "
            "“informative” told real from fake on development clips better than chance by itself; the others did not and are "
            "for orientation only."
        ),
        (
            "各项测量值，旁边的色带是十段真实开发片段中九段的取值范围。任何单项都不是证据。标有“有参考价值”的项目在开发片段上单独区分真伪优于随机，"
            "其余项目不能区分，仅供了解。"
        ),
    ),
    "other_cues": (
        "{count} more, which by themselves do not tell real from fake",
        "另外 {count} 项（单独不能区分真伪）",
    ),
    "cue": ("detail", "项目"),
    "cue_plot": ("this clip among real clips", "本片段与真实片段对照"),
    "value": ("this clip", "本片段"),
    "usual": ("real clips", "真实片段"),
    "informative": ("informative", "有参考价值"),
    "unusual": ("unusual", "不寻常"),
    "as_usual": ("usual", "正常"),
    "harmless": ("rare, but no sign of forgery", "少见，但不是伪造迹象"),
    "looked_at": ("What was looked at", "检查了什么"),
    "looked_length": ("length by the file's header", "文件标明的长度"),
    "looked_zero": ("of it before the clip begins", "其中片段开始之前"),
    "looked_sound": ("sound heard", "分析的声音"),
    "looked_picture": ("picture seen", "分析的画面"),
    "looked_frames": ("frames searched for faces", "搜索人脸的帧数"),
    "looked_with_face": ("of them with a face", "其中有人脸的帧数"),
    "looked_faces": ("faces followed", "跟踪的人脸数"),
    "looked_mouth": ("mouth in sight, watched closely", "仔细观察口型的时间"),
    "missing": ("What was missing, damaged or limited", "缺失、损坏或受限的内容"),
    "nothing_missing": ("Nothing.", "无。"),
    "nothing_else": ("Nothing else.", "没有其他内容。"),
    "details": ("Details for experts", "专业细节"),
    "faces_table": ("Faces followed", "跟踪的人脸"),
    "face": ("face", "人脸"),
    "from_to": ("seen", "出现时间"),
    "sightings": ("sightings", "次数"),
    "seconds_unit": ("s", "秒"),
    "frames_unit": ("fps", "帧/秒"),
    "channels_unit": ("ch", "声道"),
    "weights": ("weight files", "权重文件"),
    "sense": ("sense", "判断项"),
    "score": ("score (logit)", "得分（logit）"),
    "file_facts": ("File", "文件"),
    "made_by": ("Made by ffdv {version}. Works without network.", "由 ffdv {version} 生成，无需网络。"),
    "back": ("All clips", "全部片段"),
    # the index
    "index_title": ("Clips checked for forgery", "伪造检测片段列表"),
    "index_percent": (
        "Percentages are probabilities of forgery: overall, of the voice and of the picture, and of lips that do not fit the speech.",
        "百分数均为伪造概率：总体、声音、画面，以及口型与语音不相配的概率。",
    ),
    "thumbnail": ("picture", "缩略图"),
    "numbers": ("numbers", "数值"),
    "index_summary": (
        "{total} clips: {fake} probably fake, {cannot} cannot tell, {real} without sign of forgery, {failed} not readable.",
        "共 {total} 个片段：{fake} 个疑似伪造，{cannot} 个无法判断，{real} 个未发现伪造迹象，{failed} 个无法读取。",
    ),
    "index_summary_one": (
        "1 clip: {fake} probably fake, {cannot} cannot tell, {real} without sign of forgery, {failed} not readable.",
        "共 1 个片段：{fake} 个疑似伪造，{cannot} 个无法判断，{real} 个未发现伪造迹象，{failed} 个无法读取。",
    ),
    "filter": ("Filter by name", "按名称筛选"),
    "all": ("all", "全部"),
    "failed": ("not readable", "无法读取"),
    "clip": ("clip", "片段"),
    "verdict": ("verdict", "结论"),
    "reason": ("reason", "原因"),
    "sort_help": (
        "At first most suspicious first. Click a heading to sort.",
        "初始按可疑程度排序。点击表头可重新排序。",
    ),
    "shown": ("shown", "已显示"),
}

# What every cue measures: name and one sentence in each language.
CUE_WORDS: Mapping[str, tuple[tuple[str, str], tuple[str, str]]] = {
    "blink_rate": (
        ("blinks a minute", "People blink about 10 to 25 times a minute; short clips may show none."),
        ("每分钟眨眼次数", "人每分钟眨眼约 10 到 25 次；短片段可能没有。"),
    ),
    "longest_stare": (
        ("longest stare", "The longest time without a blink."),
        ("最长不眨眼时间", "两次眨眼之间最长的间隔。"),
    ),
    "sharpness_difference": (
        ("face sharper than background", "How much sharper the face is than what is behind it."),
        ("人脸与背景清晰度差", "人脸比背景清晰多少。"),
    ),
    "noise_difference": (
        ("face noisier than background", "A pasted face may bring its own grain, or none."),
        ("人脸与背景噪点差", "贴上去的人脸可能带有自己的噪点，或者没有噪点。"),
    ),
    "blockiness_difference": (
        ("compression blocks in the face", "Compression blocks in the face beyond those around it."),
        ("人脸压缩块", "人脸上的压缩块比周围明显多少。"),
    ),
    "resampling_difference": (
        ("traces of enlarging", "Regular patterns that enlarging or turning a face leaves."),
        ("缩放痕迹", "放大或旋转人脸后留下的规则纹路。"),
    ),
    "border_sharpness": (
        ("edge around the face", "Detail along the outline of the face against detail inside it."),
        ("人脸边缘", "人脸轮廓处与内部的细节对比。"),
    ),
    "light_angle": (
        ("light on face and surroundings", "Angle between the light on the face and around it."),
        ("光线方向差", "人脸与周围光照方向的夹角。"),
    ),
    "light_slope": (
        ("light from one side", "How much brighter one side of the face is."),
        ("侧光程度", "人脸一侧比另一侧亮多少。"),
    ),
    "background_repetition": (
        ("repeating background", "How much the background repeats itself."),
        ("背景重复", "背景图案重复的程度。"),
    ),
    "face_flicker": (
        ("flicker of the face", "How much more than its surroundings the face changes from frame to frame."),
        ("人脸闪烁", "人脸在相邻帧之间的变化比周围多多少。"),
    ),
    "frozen_share": (
        ("frozen frames", "Share of frames in which nothing at all moves."),
        ("静止帧比例", "完全没有变化的帧所占比例。"),
    ),
    "longest_freeze": (
        ("longest freeze", "Longest time in which nothing at all moves."),
        ("最长静止", "画面完全静止的最长时间。"),
    ),
    "repeated_frames": (
        ("repeated frames", "Share of frames that were shown before (a loop)."),
        ("重复帧", "先前已经出现过的帧所占比例（循环）。"),
    ),
    "repeated_sound": (
        ("repeated sound", "How alike the two most similar pieces of sound are; 1 is a copy."),
        ("重复声音", "最相似的两段声音有多像；1 表示完全复制。"),
    ),
    "longest_silence": (
        ("digital silence", "Longest time of perfect silence, which no room and microphone have."),
        ("数字静音", "绝对无声的最长时间；真实录音几乎没有。"),
    ),
    "pause_depth": (
        ("quiet of the pauses", "How far below speech the quietest moments lie; very clean pauses are unusual."),
        ("停顿安静程度", "停顿比说话声低多少；过于干净的停顿不寻常。"),
    ),
    "band_limit": (
        ("highest frequency", "Above this the sound is nearly empty."),
        ("最高频率", "高于该频率几乎没有声音。"),
    ),
    "pitch_spread": (
        ("liveliness of the melody", "How much the pitch moves; 2 to 4 semitones in lively speech."),
        ("语调起伏", "音高变化的幅度；生动的说话为 2 到 4 个半音。"),
    ),
    "pitch_jitter": (
        ("unevenness of the pitch", "Small irregularities of a living throat."),
        ("音高微颤", "真实嗓音的细微不规则。"),
    ),
    "lip_sound_offset": (
        (
            "lips later or earlier than loudness",
            "The shift at which lip opening follows loudness best; rough, and not the offset that the lip sense measures by speech sounds.",
        ),
        ("口型与音量错位", "嘴唇开合与音量最吻合时的时间差；较粗略，与口型项按语音测得的偏移不是一回事。"),
    ),
    "lip_sound_correlation": (
        ("lips move with the sound", "How closely lip opening follows loudness."),
        ("口型与声音同步度", "嘴唇开合跟随音量的紧密程度。"),
    ),
    "lip_sound_confidence": (
        ("clearness of that match", "How much the best match stands out."),
        ("同步清晰度", "最佳匹配有多突出。"),
    ),
}

UNITS_ZH: Mapping[str, str] = {
    "per minute": "次/分",
    "s": "秒",
    "dB": "dB",
    "degrees": "度",
    "share": "比例",
    "correlation": "相关",
    "Hz": "Hz",
    "semitones": "半音",
    "%": "%",
    "ms": "毫秒",
    "log brightness per face width": "对数亮度/脸宽",
}


def say(code: str, lang: Lang = "en", **values: object) -> str:
    """The sentence or label for a code, filled with values.

    >>> say("word_fake"), say("word_fake", "zh")
    ('probably fake', '疑似伪造')
    """
    return WORDS[code][LANGUAGES.index(lang)].format(**values)


def percent(probability: float) -> str:
    """A probability for people; never a certainty.

    >>> percent(0.934), percent(0.9999), percent(0.0001)
    ('93 %', '> 99 %', '< 1 %')
    """
    if probability > 0.99:
        return "> 99 %"
    return "< 1 %" if probability < 0.01 else f"{probability:.0%}".replace("%", " %")


def reasons(verdict: Verdict, lang: Lang = "en") -> tuple[str, ...]:
    """Why the verdict is what it is, one sentence each."""
    said = []
    absent = {one.sense: one for one in verdict.absent}
    for reason in verdict.reasons:
        values = dict(reason.values)
        if reason.code == "absent" and values["sense"] in absent:
            said.append(_absence(absent[values["sense"]], lang))
            continue
        code = f"{reason.code}_{values.get('sense')}"
        if "sense" in values:
            values["sense"] = say(f"{values['sense']}_name", lang)
        if "p" in values:
            values["p"] = percent(float(str(values["p"])))
        text = values.get("text")
        if isinstance(text, str):
            values["text"] = worded(text, lang)
        said.append(say(code if code in WORDS else reason.code, lang, **values))
    return tuple(said)


def capitalised(text: str) -> str:
    """A sentence that stands by itself.

    >>> capitalised("the sound is silent.")
    'The sound is silent.'
    """
    return text[:1].upper() + text[1:]


def stopped(text: str, lang: Lang = "en") -> str:
    """A sentence with its full stop, which it may have.

    >>> stopped("the sound is silent"), stopped("声音完全无声。", "zh")
    ('the sound is silent.', '声音完全无声。')
    """
    return text if text.endswith(STOPS[lang]) else text + STOPS[lang]


def limited(verdict: Verdict, lang: Lang = "en") -> tuple[str, ...]:
    """That only a part of the clip was looked at: a verdict on a part must not be taken for one on the whole."""
    return tuple(capitalised(note_text(note, lang)) for note in verdict.notes if note.code == "limited")


def counted(lang: Lang = "en", **counts: int) -> str:
    """How many clips got which verdict, in a sentence; total, fake, cannot, real, failed."""
    return say("index_summary_one" if counts["total"] == 1 else "index_summary", lang, **counts)


def no_ranges(verdict: Verdict, lang: Lang = "en") -> str:
    """What is said where no second stands out."""
    return say("no_ranges" if verdict.senses else "no_seconds", lang)


def note_text(note: Note | SenseAbsent, lang: Lang = "en") -> str:
    """A note or an absence as a sentence."""
    return stopped(worded(note.text, lang), lang)


def outside_texts(opinion: SenseOpinion, lang: Lang = "en") -> tuple[str, ...]:
    """Why a clip is unlike what a sense was trained on."""
    return tuple(worded(text, lang) for text in opinion.outside)


def missing(verdict: Verdict, lang: Lang = "en") -> tuple[str, ...]:
    """What was missing, damaged or limited, each once: notes on the file, then the senses that could not judge."""
    notes = [capitalised(note_text(note, lang)) for note in verdict.notes]
    codes = {note.code for note in verdict.notes}
    absent = [_absence(one, lang) for one in verdict.absent if one.code not in codes]
    return tuple(dict.fromkeys([*notes, *absent]))


def lacking(verdict: Verdict, lang: Lang = "en") -> tuple[str, ...]:
    """What was missing, for a page that shows the reasons too: without what they say already."""
    said = set(reasons(verdict, lang))
    if any(_absence(one, lang) in said for one in verdict.absent):
        said |= {capitalised(note_text(note, lang)) for note in verdict.notes if note.text in PLAINLY_ABSENT}
    return tuple(text for text in missing(verdict, lang) if text not in said)


def _absence(one: SenseAbsent, lang: Lang) -> str:
    """That a sense did not judge, and why."""
    said = say("absent", lang, sense=say(f"{one.sense}_name", lang)).removesuffix(STOPS[lang])
    return f"{said}{COLONS[lang]}{note_text(one, lang)}"


def how_sure(verdict: Verdict, lang: Lang = "en") -> tuple[str, ...]:
    """The probability in words, and what the threshold means."""
    fused = verdict.fused
    if fused is None:
        return (say("no_probability", lang),)
    asked = verdict.asked or fused.band
    said = [say("how_sure", lang, p=percent(fused.probability), low=percent(asked.low), high=percent(asked.high))]
    if asked != fused.band:
        said.append(say("asked_more", lang, low=percent(fused.band.low), high=percent(fused.band.high)))
    if not fused.measured:
        return (*said, say("threshold_unmeasured", lang))
    band = fused.band
    if verdict.word == "cannot tell":
        often = fused.undecided if _ended_as_usual(verdict, asked) else None
        return (*said, say("often_undecided", lang, share=percent(often))) if often is not None else tuple(said)
    if verdict.word == "real":
        return (*said, say("threshold_missed", lang, rate=_share(band.miss_rate, lang), count=band.num_fake_groups))
    return (*said, say("threshold", lang, rate=_share(band.false_alarm_rate, lang), count=band.num_real_groups))


def _ended_as_usual(verdict: Verdict, asked: AbstentionBand) -> bool:
    """Whether a clip without an answer is like those that were counted: by the usual limits, and sound alone only where there is no picture."""
    assert verdict.fused is not None
    usual = asked == verdict.fused.band and verdict.reasons[0].code in {"undecided", "senses_disagree"}
    return usual and not (verdict.facts.has_picture and set(verdict.senses) == {"voice"})


def cue_words(code: str, lang: Lang = "en") -> tuple[str, str]:
    """Name of a cue and one sentence on what it measures."""
    return CUE_WORDS[code][LANGUAGES.index(lang)]


def unit_word(unit: str, lang: Lang = "en") -> str:
    """A unit as readers know it."""
    return unit if lang == "en" else UNITS_ZH.get(unit, unit)


def _share(rate: float, lang: Lang) -> str:
    one_in = round(1 / rate) if rate > 0 else 0
    if not one_in or abs(rate * one_in - 1) > 0.02:
        return f"{rate:.1%}" if lang == "en" else f" {rate:.1%} "
    return f"1 in {one_in}" if lang == "en" else f"每 {one_in} 段有 1 段"
