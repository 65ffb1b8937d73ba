"""Campaigns: saved, sent to whom their audience has, and answered.

`editing` owns what may be saved and how far a campaign has come; `template` the message; `previewing` whom it would reach;
`deliveries` the record of what was sent to whom, `running` who gets one, `posting` how it leaves by its channel (`channels`);
`replies` what comes back, `senders` from whom, `reading` what it says, `reply` what is kept; `progress` how far all of that is.
"""
