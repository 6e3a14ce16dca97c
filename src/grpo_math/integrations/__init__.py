"""The rewards in other trainers: one thin module for each call form. TRL and Unsloth need none, theirs is our own.

| framework | module | its call was read from | how it is given to the framework |
| --- | --- | --- | --- |
| verl | `verl_rewards` | 0.9.1 | `reward.custom_reward_function.path=pkg://...`, or its file |
| OpenRLHF | `openrlhf_rewards` | 0.11.2 | `--reward.remote_url`, its file |
| verifiers | `verifiers_rewards` | 0.4.0, 0.1.14 | `fn = "...:reward"` of a task, or functions for a `vf.Rubric` |
| ms-swift | `swift_rewards` | 4.6.0 | `--external_plugins`, its file, and `--reward_funcs` |

All of them can be loaded by file path, import no framework and no torch by themselves, and take the form of the answer from
`format` ("boxed", "tags" or "xml") and the set from `rewards` (see `rewards.reward_set`); "boxed" and "sound" are the defaults.
The names do not repeat those of the frameworks: some put the folder of a plugin first on `sys.path`.
"""
