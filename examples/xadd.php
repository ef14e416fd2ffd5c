<?php
// Events into sailpipe by PHP and the extension redis (Debian: php-redis). Prints the ids of the entries.
//   SAILPIPE_REDIS_URL=redis://127.0.0.1:6379/0 php examples/xadd.php
declare(strict_types=1);

// A text that is no UTF-8 must not cost its event, and 10.0 stays a number with a fraction.
const JSON = JSON_THROW_ON_ERROR | JSON_INVALID_UTF8_SUBSTITUTE | JSON_PRESERVE_ZERO_FRACTION
    | JSON_UNESCAPED_SLASHES | JSON_UNESCAPED_UNICODE;

/** The address is redis://USER:PASSWORD@HOST:PORT/DB. Three seconds to connect, five for an answer. */
function connect(string $url): Redis
{
    $at = parse_url($url);
    $redis = new Redis();
    $redis->connect($at['host'], $at['port'] ?? 6379, 3.0, null, 0, 5.0);
    if (isset($at['pass'])) {
        $password = urldecode($at['pass']);
        $redis->auth(empty($at['user']) ? $password : [urldecode($at['user']), $password]);
    }
    $redis->select((int) ltrim($at['path'] ?? '', '/'));
    return $redis;
}

/** Append one event; the id of its entry. Throws when Redis is away or full: try again with the same messageId. */
function enqueue(Redis $redis, array $event, array $labels = []): string
{
    $id = $redis->xAdd('sailpipe:raw', '*', ['event' => json_encode($event, JSON)] + $labels);
    if ($id === false) {
        throw new RedisException($redis->getLastError() ?? 'Redis refused');
    }
    return $id;
}

try {
    // The address, or what `sailpipe up` left in its folder.
    $redis = connect(getenv('SAILPIPE_REDIS_URL') ?: trim(file_get_contents('.sailpipe/redis.url')));

    echo enqueue($redis, [
        'type' => 'identify', 'userId' => 'php-1', 'messageId' => 'php-a',
        'traits' => ['email' => 'zoe@example.com', 'firstName' => 'Zoë'],
    ]), "\n";

    // An import says that it is bulk: it lets live events go first.
    echo enqueue($redis, [
        'type' => 'track', 'userId' => 'php-1', 'messageId' => 'php-b', 'event' => "Joined Zoë's Club",
    ], ['class' => 'bulk']), "\n";
} catch (RedisException $error) {
    fwrite(STDERR, "not enqueued: {$error->getMessage()}\n");
    exit(1);
}
