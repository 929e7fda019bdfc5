# A registrar made of Net::SIP.
#
#     perl netsip.pl PORT REALM CERTIFICATE KEY USER PASSWORD …       UDP and TCP on PORT, TLS on the one above
use strict;
use warnings;
use Net::SIP qw(:alias);

my ($port, $realm, $certificate, $key, %password_of) = @ARGV;
my $tls = { SSL_cert_file => $certificate, SSL_key_file => $key, SSL_verify_mode => 0 };
my @legs = map { Leg->new(proto => $_, addr => '127.0.0.1', port => $port) } qw(udp tcp);
push @legs, Leg->new(proto => 'tls', addr => '127.0.0.1', port => $port + 1, tls => $tls);

my $loop = Dispatcher_Eventloop->new;
my $dispatcher = Dispatcher->new(\@legs, $loop);
my $asks = Authorize->new(dispatcher => $dispatcher, realm => $realm, user2pass => \%password_of);
my $keeps = Registrar->new(dispatcher => $dispatcher, min_expires => 1, max_expires => 60);
$dispatcher->set_receiver(ReceiveChain->new([$asks, $keeps]));
$loop->loop;
