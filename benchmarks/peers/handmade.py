"""DeepSeek-V3's model as fast as PyTorch's own operations allow on a CPU. Needs torch and safetensors.

What is fused or left out, beside what Transformers does:

    projections   queries' and keys' down projections are one matrix, gate and up another
    attention     scaled_dot_product_attention on keys, queries and values padded to one width, which selects the flash
                  kernel; rotary pairs are halves, not neighbours, by a permutation of weight rows at the start
    experts       tokens sorted by expert, one product per expert over contiguous rows, forward and backward, written in
                  place: one node for autograd instead of hundreds
    loss          head and cross entropy by chunks of rows; their gradients are made at once, so no logits are kept
"""
import json

import torch
import torch.nn.functional as F
from safetensors import safe_open

CHUNK = 512  # rows of logits at once


def bounds_of(offsets):
    ends = offsets.tolist()
    return list(zip([0] + ends[:-1], ends))


@torch.library.custom_op("peers::experts", mutates_args=())
def experts(x: torch.Tensor, gate_up: torch.Tensor, down: torch.Tensor,
            offsets: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """SwiGLU of rows [T·K,D] sorted by expert; rows of expert e end at offsets[e]. Also what comes before the SiLU."""
    hidden = x.new_empty(x.shape[0], gate_up.shape[1])
    out = torch.empty_like(x)
    half = gate_up.shape[1] // 2
    for e, (begin, end) in enumerate(bounds_of(offsets)):
        if begin == end:
            continue
        h = hidden[begin:end]
        torch.mm(x[begin:end], gate_up[e].t(), out=h)
        torch.mm(F.silu(h[:, :half]).mul_(h[:, half:]), down[e].t(), out=out[begin:end])
    return out, hidden


@experts.register_fake
def _(x, gate_up, down, offsets):
    return torch.empty_like(x), x.new_empty(x.shape[0], gate_up.shape[1])


@torch.library.custom_op("peers::experts_backward", mutates_args=())
def experts_backward(d_out: torch.Tensor, x: torch.Tensor, hidden: torch.Tensor, gate_up: torch.Tensor,
                     down: torch.Tensor, offsets: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    dx, d_gate_up, d_down = torch.empty_like(x), torch.empty_like(gate_up), torch.empty_like(down)
    half = gate_up.shape[1] // 2
    for e, (begin, end) in enumerate(bounds_of(offsets)):
        if begin == end:
            d_gate_up[e].zero_()
            d_down[e].zero_()
            continue
        gate, up, dy = hidden[begin:end, :half], hidden[begin:end, half:], d_out[begin:end]
        activated = F.silu(gate)
        torch.mm(dy.t(), activated * up, out=d_down[e])
        d_product = torch.mm(dy, down[e])
        d_hidden = torch.empty_like(hidden[begin:end])
        torch.mul(d_product, activated, out=d_hidden[:, half:])
        d_hidden[:, :half] = torch.ops.aten.silu_backward(d_product.mul_(up), gate)
        torch.mm(d_hidden.t(), x[begin:end], out=d_gate_up[e])
        torch.mm(d_hidden, gate_up[e], out=dx[begin:end])
    return dx, d_gate_up, d_down


@experts_backward.register_fake
def _(d_out, x, hidden, gate_up, down, offsets):
    return torch.empty_like(x), torch.empty_like(gate_up), torch.empty_like(down)


def experts_setup(ctx, inputs, output):
    x, gate_up, down, offsets = inputs
    ctx.save_for_backward(x, output[1], gate_up, down, offsets)


def experts_gradient(ctx, d_out, _):
    x, hidden, gate_up, down, offsets = ctx.saved_tensors
    return *experts_backward(d_out.contiguous(), x, hidden, gate_up, down, offsets), None


experts.register_autograd(experts_gradient, setup_context=experts_setup)


@torch.library.custom_op("peers::head_loss", mutates_args=())
def head_loss(x: torch.Tensor, head: torch.Tensor, targets: torch.Tensor,
              backward: bool) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Sum of the cross entropies of x·headᵀ and, with `backward`, its gradients."""
    dx = torch.empty_like(x if backward else x[:0])
    d_head = x.new_zeros(head.shape if backward else (0,))
    total = torch.zeros((), dtype=torch.float32)
    for begin in range(0, x.shape[0], CHUNK):
        rows, wanted = x[begin:begin + CHUNK], targets[begin:begin + CHUNK, None]
        log_p = torch.log_softmax(torch.mm(rows, head.t()), 1, torch.float32)
        total -= log_p.gather(1, wanted).sum()
        if backward:
            d_logits = log_p.exp_()
            d_logits.scatter_add_(1, wanted, d_logits.new_full((1, 1), -1.0).expand_as(wanted))
            d_logits = d_logits.to(x.dtype)
            torch.mm(d_logits, head, out=dx[begin:begin + CHUNK])
            d_head.addmm_(d_logits.t(), rows)
    return total, dx, d_head


@head_loss.register_fake
def _(x, head, targets, backward):
    return (x.new_empty((), dtype=torch.float32), torch.empty_like(x if backward else x[:0]),
            x.new_empty(head.shape if backward else (0,)))


def head_loss_setup(ctx, inputs, output):
    ctx.save_for_backward(output[1], output[2])


def head_loss_gradient(ctx, d_total, _, __):
    dx, d_head = ctx.saved_tensors
    return dx * d_total, d_head * d_total, None, None


head_loss.register_autograd(head_loss_gradient, setup_context=head_loss_setup)


class HandmadeModel:
    """Activations of type `compute`, weights of type `storage`."""

    def __init__(self, folder, compute, storage, compiled):
        self.config = json.loads((folder / "config.json").read_text())
        self.compute, self.storage = compute, storage
        with torch.no_grad():
            self.load(folder)
        self.loss = torch.compile(self.plain_loss, dynamic=False) if compiled else self.plain_loss

    def load(self, folder):
        tensors = {}
        for file in sorted(folder.glob("*.safetensors")):
            with safe_open(file, "pt") as opened:
                tensors.update({name: opened.get_tensor(name).float() for name in opened.keys()})
        c = self.config
        heads, nope, rope = c["num_attention_heads"], c["qk_nope_head_dim"], c["qk_rope_head_dim"]
        halves = torch.cat([torch.arange(0, rope, 2), torch.arange(1, rope, 2)])

        def parameter(tensor, exact=False):
            return tensor.to(torch.float32 if exact else self.storage).contiguous().requires_grad_()

        def matrices(prefix, names):
            return torch.cat([tensors[f"{prefix}{name}.weight"] for name in names])

        self.embedding = parameter(tensors["model.embed_tokens.weight"])
        self.head = parameter(tensors["lm_head.weight"])
        self.norm = parameter(tensors["model.norm.weight"])
        self.layers = []
        for i in range(c["num_hidden_layers"]):
            p = f"model.layers.{i}."
            a, m = p + "self_attn.", p + "mlp."
            qkv_a = matrices(a, ["q_a_proj", "kv_a_proj_with_mqa"])
            qkv_a[-rope:] = qkv_a[-rope:][halves]
            q_b = tensors[a + "q_b_proj.weight"].view(heads, nope + rope, -1)
            q_b[:, nope:] = q_b[:, nope:][:, halves]
            layer = {
                "attention_norm": parameter(tensors[p + "input_layernorm.weight"]),
                "qkv_a": parameter(qkv_a),
                "q_norm": parameter(tensors[a + "q_a_layernorm.weight"]),
                "q_b": parameter(q_b.flatten(0, 1)),
                "kv_norm": parameter(tensors[a + "kv_a_layernorm.weight"]),
                "kv_b": parameter(tensors[a + "kv_b_proj.weight"]),
                "o": parameter(tensors[a + "o_proj.weight"]),
                "ffn_norm": parameter(tensors[p + "post_attention_layernorm.weight"]),
            }
            if i < c["first_k_dense_replace"]:
                layer["gate_up"] = parameter(matrices(m, ["gate_proj", "up_proj"]))
                layer["down"] = parameter(tensors[m + "down_proj.weight"])
            else:
                all_experts = [f"{m}experts.{e}." for e in range(c["n_routed_experts"])]
                layer["router"] = parameter(tensors[m + "gate.weight"], exact=True)
                layer["bias"] = tensors[m + "gate.e_score_correction_bias"]
                layer["gate_up"] = parameter(matrices(m + "shared_experts.", ["gate_proj", "up_proj"]))
                layer["down"] = parameter(tensors[m + "shared_experts.down_proj.weight"])
                layer["experts_gate_up"] = parameter(
                    torch.stack([matrices(e, ["gate_proj", "up_proj"]) for e in all_experts]))
                layer["experts_down"] = parameter(torch.stack([tensors[e + "down_proj.weight"] for e in all_experts]))
            self.layers.append(layer)
        steps = torch.arange(0, rope, 2, dtype=torch.float32) / rope
        angles = torch.outer(torch.arange(c["max_position_embeddings"], dtype=torch.float32), c["rope_theta"]**-steps)
        self.cosine, self.sine = angles.cos().to(self.compute), angles.sin().to(self.compute)

    def parameters(self):
        return [self.embedding, self.head, self.norm] + [
            tensor for layer in self.layers for tensor in layer.values() if tensor.requires_grad]

    def narrow(self, weight):
        return weight.to(self.compute)

    def linear(self, x, weight):
        return F.linear(x, self.narrow(weight))

    def rms_norm(self, x, gain):
        return F.rms_norm(x, gain.shape, self.narrow(gain), self.config["rms_norm_eps"])

    def rotate(self, x, first):
        """Rotates [..., T, first + R] in the last R; T before heads is what the tables are laid out for."""
        cosine, sine = self.cosine[:x.shape[1], None], self.sine[:x.shape[1], None]
        left, right = x[..., first:].chunk(2, -1)
        return torch.cat([x[..., :first], left * cosine - right * sine, right * cosine + left * sine], -1)

    def attention(self, x, layer):
        c = self.config
        heads, nope, rope, value = (c[k] for k in (
            "num_attention_heads", "qk_nope_head_dim", "qk_rope_head_dim", "v_head_dim"))
        rows, length = x.shape[:2]
        q_a, latent, k_rope = self.linear(x, layer["qkv_a"]).split([c["q_lora_rank"], c["kv_lora_rank"], rope], -1)
        q = self.linear(self.rms_norm(q_a, layer["q_norm"]), layer["q_b"]).view(rows, length, heads, nope + rope)
        kv = self.linear(self.rms_norm(latent, layer["kv_norm"]), layer["kv_b"]).view(rows, length, heads, nope + value)
        q = self.rotate(q, nope)
        k_rope = self.rotate(k_rope[:, :, None], 0).expand(-1, -1, heads, -1)
        k = torch.cat([kv[..., :nope], k_rope], -1)
        v = F.pad(kv[..., nope:], (0, nope + rope - value))
        out = F.scaled_dot_product_attention(q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2), is_causal=True)
        return self.linear(out.transpose(1, 2)[..., :value].flatten(2), layer["o"])

    def swiglu(self, x, layer):
        gate, up = self.linear(x, layer["gate_up"]).chunk(2, -1)
        return self.linear(F.silu(gate) * up, layer["down"])

    def route(self, x, layer):
        """Experts [T,K] and their gates, in FP32."""
        c = self.config
        count, top_k, groups = c["n_routed_experts"], c["num_experts_per_tok"], c["n_group"]
        scores = F.linear(x.float(), layer["router"]).sigmoid()
        with torch.no_grad():
            choice = scores + layer["bias"]
            if groups > 1:
                in_groups = choice.view(-1, groups, count // groups)
                kept = in_groups.topk(2, -1)[0].sum(-1).topk(c["topk_group"], -1)[1]
                open_groups = torch.zeros_like(in_groups[..., 0], dtype=torch.bool).scatter_(1, kept, True)
                choice = in_groups.masked_fill(~open_groups[..., None], float("-inf")).view(-1, count)
            chosen = choice.topk(top_k, -1, sorted=False)[1]
        gates = scores.gather(1, chosen)
        return chosen, gates / gates.sum(-1, keepdim=True) * c["routed_scaling_factor"]

    def moe(self, x, layer):
        tokens = x.flatten(0, 1)
        chosen, gates = self.route(tokens, layer)
        with torch.no_grad():
            order = chosen.flatten().argsort()
            token = order // chosen.shape[1]
            place = torch.empty_like(order).scatter_(0, order, torch.arange(order.numel()))
            offsets = torch.bincount(chosen.flatten(), minlength=self.config["n_routed_experts"]).cumsum(0)
        sorted_out, _ = experts(tokens.index_select(0, token), self.narrow(layer["experts_gate_up"]),
                                self.narrow(layer["experts_down"]), offsets)
        by_token = sorted_out.index_select(0, place).view(*chosen.shape, -1)
        routed = torch.bmm(gates.to(x.dtype)[:, None], by_token)[:, 0]
        return routed.view_as(x) + self.swiglu(x, layer)

    def plain_loss(self, inputs, targets):
        """Sum of the cross entropies, in FP32."""
        x = self.narrow(F.embedding(inputs, self.embedding))
        for layer in self.layers:
            x = x + self.attention(self.rms_norm(x, layer["attention_norm"]), layer)
            ffn = self.moe if "router" in layer else self.swiglu
            x = x + ffn(self.rms_norm(x, layer["ffn_norm"]), layer)
        x = self.rms_norm(x, self.norm).flatten(0, 1)
        return head_loss(x, self.narrow(self.head), targets.flatten(), torch.is_grad_enabled())[0]
