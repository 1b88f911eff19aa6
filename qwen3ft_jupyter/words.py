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
    "probing": "测速",
    "adopting": "复用本机已有文件",
    "transferring": "下载",
    "paused": "已暂停",
    "verifying": "校验",
    "committing": "写入缓存",
    "moving": "迁移缓存",
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
    "connections: {sources}": "连接：{sources}",
    "{count} from {source}": "{source} {count} 个",
    "loss {first} → {last}": "损失 {first} → {last}",
    # kinds of jobs
    "download": "下载",
    "verify": "校验",
    "repair": "修复",
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
    "Revision": "版本",
    "Whose": "所属",
    "Folder": "文件夹",
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
    "this cache": "本缓存",
    "a folder": "其他文件夹",
    "ModelScope": "ModelScope",
    "Hugging Face": "Hugging Face",
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
    "{used} of {quota} used": "已用 {used}，配额 {quota}",
    "{size} free": "可用空间 {size}",
    "{size} of unfinished downloads": "未完成的下载 {size}",
    "The cache is empty.": "缓存为空。",
    "There are no jobs.": "没有任务。",
    # what a download would do
    "What": "处理方式",
    "Files": "文件数",
    "To fetch": "需下载",
    "From": "来自",
    "kept": "保留",
    "adopted": "复用",
    "resumed": "续传",
    "to be fetched": "下载",
    "removed": "删除",
    "To fetch: {size}; on this disk already: {reused}.": "需下载 {size}；本机已有 {reused}。",
    "Nothing has to travel: {reused} are on this disk already.": "无需下载：本机已有 {reused}。",
    "About {time} at {rate}/s.": "按 {rate}/s 估计约需 {time}。",
    "Sources: {names}.": "下载来源：{names}。",
    "Room: {room} of {free} free.": "需要空间 {room}，可用 {free}。",
    "Quota: {quota}.": "配额：{quota}。",
    "Deleted before that to make room: {names}.": "为腾出空间将先删除：{names}。",
    "It does not fit: {size} over the quota.": "空间不足：超出配额 {size}。",
    "It does not fit: {size} are missing.": "空间不足：还差 {size}。",
    "Could be deleted: {names}.": "可以删除：{names}。",
    "Nothing has changed.": "没有变化。",
    "Changed files: {count}": "有变化的文件：{count} 个",
    "  and {count} more": "  以及另外 {count} 个",
    "Qwen3 models": "Qwen3 模型",
    "Jobs": "任务",
    "none": "无",
    "Stop it: {command}": "停止：{command}",
    "at most {speed}/s": "限速 {speed}/s",
    "{id} is paused": "{id} 已暂停",
    "{id} takes at most {speed}/s": "{id} 限速 {speed}/s",
    "{id} has no speed limit": "{id} 不限速",
    "Go on with it: {command}": "继续：{command}",
    "Follow it: {command}": "跟踪进度：{command}",
    "stopped; what arrived is kept": "已停止；已下载的部分会保留",
    "{id} is {state}": "{id} {state}",
    "The job goes on. {follow} shows it again, {stop} stops it.": "任务仍在运行。{follow} 再次显示，{stop} 停止。",
    "The job is {state}. {command} goes on with it.": "任务{state}。{command} 可继续。",
    "Talk to it: {command}": "与它对话：{command}",
    "In a notebook: {command}": "在 notebook 中：{command}",
    "{name} is in the cache: {folder}": "{name} 已缓存：{folder}",
    "Loading downloads it first. To do that now: {command}": "加载时会先下载。现在下载：{command}",
    "No longer followed; the job goes on.": "已不再跟踪；任务仍在运行。",
    "Deleted {names}; {size} are free again.": "已删除 {names}，释放 {size}。",
    "{name} is pinned: it will not be deleted to make room.": "{name} 已固定：不会因清理空间而被删除。",
    "{name} is no longer pinned.": "{name} 已取消固定。",
    "{name}  {size} freed": "{name}  已释放 {size}",
    "Kept in {folder}: {names}": "{folder} 中保留：{names}",
    "Fetch just these again: {command}": "仅重新下载这些文件：{command}",
    "{name}: {count} files, {size}, all as they should be": "{name}：{count} 个文件，共 {size}，全部正确",
    "{name}: nothing was wrong": "{name}：没有损坏",
    "{name}: all is as it should be, {size} fetched": "{name}：已全部修复，下载了 {size}",
    "Moved folders: {count}; {size} copied.": "已迁移 {count} 个文件夹，复制了 {size}。",
    "{name} stayed: {reason}": "{name} 未迁移：{reason}",
    "The cache has moved. Use it there: {command}": "缓存已迁移。请使用新位置：{command}",
    "The job {id} is forgotten; its results stay.": "任务 {id} 已移除；其结果保留。",
    "{name} is loaded into {model} and {tokenizer}.": "{name} 已加载到 {model} 和 {tokenizer}。",
    "The log is empty.": "日志为空。",
    # results of jobs
    "folder": "文件夹",
    "fetched": "已下载",
    "from this disk": "取自本机",
    "deleted to make room": "为腾出空间已删除",
    "repaired": "已修复",
    "time": "用时",
    "hub": "站点",
    "loss": "损失",
    "missing": "缺失",
    "wrong": "损坏",
    "not of the model": "不属于该模型",
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
