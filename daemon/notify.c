/* SPDX-License-Identifier: MIT */
/* What systemd wants to know (sd_notify(3)). A socket that is gone is nobody's loss: results are not looked at. */
#include "notify.h"

#include <systemd/sd-daemon.h>

void notify_ready(unsigned segments)
{
	sd_notifyf(0, "READY=1\nSTATUS=serving; %u segments taken over", segments);
}

void notify_stopping(void)
{
	sd_notify(0, "STOPPING=1");
}
