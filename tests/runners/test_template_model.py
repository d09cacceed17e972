import pytest
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from runners.template import IGNORE_INDEX, TEMPLATES, Turn, load_template, model_template
from warehouse.errors import InputError

GEMMA = (
    "{{ bos_token }}{% for m in messages %}"
    "{% set role = 'model' if m['role'] == 'assistant' else m['role'] %}"
    "{{ '<start_of_turn>' + role + '\n' + m['content'] | trim + '<end_of_turn>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<start_of_turn>model\n' }}{% endif %}"
)
QWEN = (
    "{% if messages[0]['role'] != 'system' %}<|im_start|>system\nYou help.<|im_end|>\n{% endif %}"
    "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\n' + m['content'] + '<|im_end|>\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
LLAMA_3 = (
    "{{ bos_token }}{% for m in messages %}"
    "{{ '<|start_header_id|>' + m['role'] + '<|end_header_id|>\n\n' + m['content'] | trim "
    "+ '<|eot_id|>' }}{% endfor %}{% if add_generation_prompt %}"
    "{{ '<|start_header_id|>assistant<|end_header_id|>\n\n' }}{% endif %}"
)
SPECIAL = [
    "<bos>", "<start_of_turn>", "<end_of_turn>", "<|im_start|>", "<|im_end|>",
    "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>", "<think>",
]  # fmt: skip
TURNS = [
    Turn(role="user", content="red or blue ?"),
    Turn(role="assistant", content="blue"),
    Turn(role="user", content="sure ?"),
    Turn(role="assistant", content="red"),
]


def tokenizer(chat_template):
    words = "red blue or sure ? user assistant model system You help . <unk>".split()
    vocabulary = {word: index for index, word in enumerate([*SPECIAL, *words])}
    backend = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    backend.pre_tokenizer = pre_tokenizers.Whitespace()
    made = PreTrainedTokenizerFast(
        tokenizer_object=backend,
        unk_token="<unk>",
        bos_token="<bos>",
        additional_special_tokens=SPECIAL[1:],
    )
    made.chat_template = chat_template
    return made


@pytest.mark.parametrize(
    ("chat_template", "end"),
    [(GEMMA, "<end_of_turn>"), (QWEN, "<|im_end|>"), (LLAMA_3, "<|eot_id|>")],
    ids=["gemma", "qwen", "llama-3"],
)
def test_a_models_own_template_renders_as_transformers_does(chat_template, end):
    own = tokenizer(chat_template)
    template = model_template(own)
    messages = [{"role": turn.role, "content": turn.content} for turn in TURNS]
    rendered = own.apply_chat_template(messages, tokenize=False)
    assert "".join(text for text, _ in template.segments(TURNS)) == rendered
    prompt = own.apply_chat_template(messages[:1], tokenize=False, add_generation_prompt=True)
    assert template.prompt(TURNS[:1]) == prompt
    assert template.end == end


def test_only_replies_and_their_end_are_targets():
    own = tokenizer(GEMMA)
    encoded = model_template(own).encode(own, TURNS, 100)
    targets = [label for label in encoded.labels if label != IGNORE_INDEX]
    assert own.convert_ids_to_tokens(targets) == ["blue", "<end_of_turn>", "red", "<end_of_turn>"]
    assert own.convert_ids_to_tokens(encoded.input_ids)[0] == "<bos>"


def test_templates_that_no_pieces_can_render_are_refused():
    thought = "('<think>' if loop.last and m['role'] == 'assistant' else '') + m['content']"
    thinks = QWEN.replace("m['content']", thought)
    with pytest.raises(InputError, match="depends on other turns"):
        model_template(tokenizer(thinks))
    with pytest.raises(InputError, match="depends on other turns"):
        model_template(tokenizer("{{ raise_exception('system prompt wanted') }}"))
    counts = LLAMA_3.replace("m['role']", "m['role'] + loop.index | string")
    with pytest.raises(InputError, match="depends on other turns"):
        model_template(tokenizer(counts))


def test_a_template_without_end_token_or_without_template_is_refused():
    with pytest.raises(InputError, match="would not learn to stop"):
        model_template(tokenizer(GEMMA.replace("<end_of_turn>", " .")))
    with pytest.raises(InputError, match="carries no chat template"):
        model_template(tokenizer(None))


def test_a_checkpoint_keeps_the_template_and_gives_it_back(tmp_path):
    own = tokenizer(QWEN)
    template = model_template(own)
    own.eos_token = template.end
    own.save_pretrained(tmp_path)
    assert load_template("model", tmp_path) == template
    assert '"start": "<|im_start|>system' in template.to_json()
    assert load_template("doit", tmp_path) is TEMPLATES["doit"]
