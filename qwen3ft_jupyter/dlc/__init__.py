"""Fine-tunes on Alibaba Cloud PAI-DLC: what is submitted, how it is submitted once, and how it is followed.

A job here submits one job there, by Alibaba Cloud's own client, and follows it. What runs there is a fine-tune of this
package in a job folder of its own on a mount that both have, so that progress, metrics and errors are read from there
as of any job; PAI-DLC is asked for its state alone. It goes on whatever becomes of the job here, which finds it again.
"""
