"""What people read of progress and in a notebook, in English or Chinese.

A kernel cannot see JupyterLab's language, so the usual variables decide; `QWEN3FT_LANG` overrides them. Error messages
are English everywhere: they are searched for, and they carry a code.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

Language = Literal["en", "zh"]

VARIABLES = ("QWEN3FT_LANG", "LC_ALL", "LC_MESSAGES", "LANG")
"""The first that is set decides, as in gettext."""

CHINESE: Mapping[str, str] = {
    # states
    "queued": "排队中",
    "running": "运行中",
    "stopping": "正在停止",
    "succeeded": "已完成",
    "failed": "失败",
    "stopped": "已停止",
    "interrupted": "已中断",
    # phases
    "resolving": "查询模型",
    "waiting": "等待另一进程",
    "checking": "检查已有文件",
    "transferring": "下载",
    "verifying": "校验",
    "committing": "写入缓存",
    "loading": "加载",
    "preparing": "准备数据",
    "training": "训练",
    "saving": "保存",
    # units
    "files": "个文件",
    "rows": "行",
    "steps": "步",
    # progress
    "{done} of {total}": "{done} / {total}",
    "{time} left": "剩余 {time}",
    "loss {first} → {last}": "损失 {first} → {last}",
    # kinds of jobs
    "download": "下载",
    "verify": "校验",
    "finetune": "微调",
    # tables
    "Setting": "设置",
    "Value": "值",
    "Where from": "来源",
    "Model": "模型",
    "For": "用途",
    "Parameters": "参数量",
    "Download": "下载大小",
    "LoRA needs": "LoRA 需要",
    "Size": "大小",
    "Hub": "来源站点",
    "Last used": "最近使用",
    "State": "状态",
    "Job": "任务",
    "Kind": "类型",
    "Title": "标题",
    "Started": "开始时间",
    "Verb": "命令",
    "What it does": "作用",
    "in the cache": "已缓存",
    "pinned": "已固定",
    "shared": "共享",
    "not verified": "未校验",
    "verified": "已校验",
    # roles
    "quick experiments": "快速实验",
    "recommended for production": "推荐用于生产",
    "higher quality": "更高质量",
    "practice": "练习",
    # headings and notes
    "Hub: {hub} · version {version} · Python {python}": "站点：{hub} · 版本 {version} · Python {python}",
    "not installed here: {packages}": "此环境未安装：{packages}",
    "Models in the cache: {count}, {size}": "缓存中有 {count} 个模型，共 {size}",
    "Qwen3 models": "Qwen3 模型",
    "Jobs": "任务",
    "none": "无",
    "Stop it: {command}": "停止：{command}",
    "Go on with it: {command}": "继续：{command}",
    "Talk to it: {command}": "与它对话：{command}",
    "No longer followed; the job goes on.": "已不再跟踪；任务仍在运行。",
    "Deleted {names}; {size} are free again.": "已删除 {names}，释放 {size}。",
    "{name} is pinned: it will not be deleted to make room.": "{name} 已固定：不会因清理空间而被删除。",
    "{name} is no longer pinned.": "{name} 已取消固定。",
    "The job {id} is forgotten; its results stay.": "任务 {id} 已移除；其结果保留。",
    "{name} is loaded into {model} and {tokenizer}.": "{name} 已加载到 {model} 和 {tokenizer}。",
    "The log is empty.": "日志为空。",
    # results of jobs
    "folder": "文件夹",
    "fetched": "已下载",
    "time": "用时",
    "hub": "站点",
    "loss": "损失",
    "missing": "缺失",
    "wrong": "损坏",
    # forms
    "Start": "开始",
    "Stop": "停止",
    "Data file": "数据文件",
    "Method": "方法",
    "Epochs": "轮数",
    "Learning rate": "学习率",
    "Batch size": "批大小",
    "Output folder": "输出文件夹",
    "Get it": "下载",
    "It runs this:": "将运行：",
}


def language(environ: Mapping[str, str] | None = None) -> Language:
    """Return the language for people.

    >>> language({"LANG": "zh_CN.UTF-8"}), language({"LANG": "zh_CN.UTF-8", "QWEN3FT_LANG": "en"}), language({})
    ('zh', 'en', 'en')
    """
    environ = os.environ if environ is None else environ
    wanted = next((environ[variable] for variable in VARIABLES if environ.get(variable)), "")
    return "zh" if wanted.lower().startswith("zh") else "en"


def tr(text: str, **values: object) -> str:
    """Return `text` in the language for people, with `values` filled in. The English text is the key."""
    if language() == "zh":
        text = CHINESE.get(text, text)
    return text.format(**values) if values else text
